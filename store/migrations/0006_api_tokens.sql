-- Tokens for the API. Only a token's SHA-256 is kept; the API asks about one token at a time and can list none.

create table api_token (
    id integer generated always as identity primary key,
    enterprise integer references enterprise,
    label text not null check (label <> ''),
    sha256 bytea not null unique check (length(sha256) = 32),
    may_write boolean not null default false,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz
);
comment on column api_token.enterprise is 'Null: the operator, who sees every enterprise.';
alter table api_token enable row level security;
alter table api_token force row level security;
create policy tenant on api_token using (coalesce(enterprise, 0) <@ (select permitted_enterprises()));
create trigger never_deleted before delete on api_token for each row execute function refuse_change();

create function api_token_of(digest bytea)
returns table (id integer, enterprise integer, enterprise_code text, label text, may_write boolean)
language sql stable security definer set search_path = pg_catalog, public, pg_temp
as $$
    select token.id, token.enterprise, tenant.code, token.label, token.may_write
    from public.api_token token
    left join public.enterprise tenant on tenant.id = token.enterprise
    where token.sha256 = digest and token.revoked_at is null
      and (token.expires_at is null or token.expires_at > clock_timestamp())
$$;
revoke execute on function api_token_of(bytea) from public;
grant execute on function api_token_of(bytea) to muster_api;
