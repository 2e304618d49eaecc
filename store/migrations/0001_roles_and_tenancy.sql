-- Roles that share one database without trusting one another, and whom each session may see.
-- The roles cannot log in until the set-up gives them passwords.

do $$
declare
    wanted text;
begin
    foreach wanted in array array['muster_ingest', 'muster_api', 'muster_notary', 'muster_reader'] loop
        begin
            execute format('create role %I nologin', wanted);
        exception when duplicate_object or unique_violation then
            null; -- roles belong to the whole server: another database of it was here first
        end;
    end loop;
end
$$;

create table enterprise (
    id integer generated always as identity primary key,
    code text not null unique check (code <> ''),
    name text not null check (name <> ''),
    industry text not null default '',
    created_at timestamptz not null default now()
);
comment on table enterprise is 'Tenants. Every other table carries its enterprise, by number.';

create table reader (
    role text primary key,
    enterprise integer not null references enterprise
);
comment on table reader is 'Database roles that may read one enterprise only, such as a Grafana data source; members of muster_reader.';

-- Who may see which enterprise: the API by a setting local to its transaction ("all", or numbers with commas
-- between), a reader by its role, the platform's own roles and the owner everything. Number 0 stands for rows of no
-- enterprise. Policies and views write `coalesce(enterprise, 0) <@ (select permitted_enterprises())`: the sub-select
-- is evaluated once per statement, and nothing of a row reaches a caller's function before it has been passed.
create function permitted_enterprises() returns int4multirange
language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    said text;
begin
    if session_user = 'muster_api' then
        said := coalesce(current_setting('muster.enterprise', true), '');
        if said = 'all' then
            return '{(,)}';
        end if;
        return coalesce((
            select range_agg(int4range(number, number, '[]'))
            from unnest(string_to_array(said, ',')::integer[]) as number
            where number > 0
        ), '{}');
    end if;
    if session_user in ('muster_ingest', 'muster_notary') then
        return '{(,)}';
    end if;
    if pg_has_role(session_user, (select relowner from pg_class where oid = 'public.enterprise'::regclass), 'member') then
        return '{(,)}';
    end if;
    return coalesce((
        select range_agg(int4range(reader.enterprise, reader.enterprise, '[]'))
        from public.reader where reader.role = session_user
    ), '{}');
end
$$;

alter table enterprise enable row level security;
alter table enterprise force row level security;
create policy tenant on enterprise using (id <@ (select permitted_enterprises()));

grant usage on schema public to muster_ingest, muster_api, muster_notary, muster_reader;
grant select on enterprise to muster_ingest, muster_notary, muster_reader;
grant select, insert, update on enterprise to muster_api;
