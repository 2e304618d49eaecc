-- The device book at work: who changed it, keys that the API enrols, and tags whose change is a change of their
-- device, so that the gateway is told.

create table book_change (
    id bigint generated always as identity primary key,
    enterprise integer references enterprise,
    actor text not null check (actor <> ''),
    action text not null check (action <> ''),
    source text not null default '',
    sha256 bytea,
    counts jsonb not null,
    recorded_at timestamptz not null default clock_timestamp()
);
comment on table book_change is 'Who changed the device book, from which document, and how many entries; never altered.';
comment on column book_change.enterprise is 'Null: the operator, for any enterprise.';
alter table book_change enable row level security;
alter table book_change force row level security;
create policy tenant on book_change using (coalesce(enterprise, 0) <@ (select permitted_enterprises()));
create trigger append_only before update or delete on book_change for each row execute function refuse_change();
grant select, insert on book_change to muster_api;
grant select on book_change to muster_notary;

grant insert, update (revoked_at) on gateway_key to muster_api;
create policy enrolled_by_owner on gateway_key as restrictive for insert with check (
    gateway in (select id from gateway where coalesce(enterprise, 0) <@ (select permitted_enterprises()))
);
create policy revoked_by_owner on gateway_key as restrictive for update using (
    gateway in (select id from gateway where coalesce(enterprise, 0) <@ (select permitted_enterprises()))
);

-- Codes of gateways and models are unique on the whole platform, also among those that the asker may not see.
create function codes_taken(relation text, codes text[]) returns setof text
language sql stable security definer set search_path = pg_catalog, public, pg_temp
as $$
    select code from public.gateway where relation = 'gateway' and code = any (codes)
    union all
    select code from public.device_model where relation = 'device_model' and code = any (codes)
$$;
revoke execute on function codes_taken(text, text[]) from public;
grant execute on function codes_taken(text, text[]) to muster_api;

-- A device that this transaction has written already has its new version and its notice.
create function tags_moved() returns trigger language plpgsql as $$
begin
    update device set version = default
    where id in (select device from moved) and xmin <> pg_current_xact_id()::xid;
    return null;
end
$$;
create trigger tags_added after insert on tag
    referencing new table as moved for each statement execute function tags_moved();
create trigger tags_altered after update on tag
    referencing new table as moved for each statement execute function tags_moved();
