-- Roles that share one database without trusting one another, and whom each session may see.
-- The roles cannot log in until the set-up gives them passwords.

do $$
declare
    wanted text;
begin
    foreach wanted in array array['muster_ingest', 'muster_api', 'muster_notary', 'muster_reader'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            execute format('create role %I nologin', wanted);
        end if;
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
comment on table reader is 'Database roles that may read one enterprise only, such as a Grafana data source.';

-- Who may see which enterprise: the API by a setting local to its transaction, a reader by its role, the
-- platform's own roles everything. Null stands for all.
create function permitted_enterprises() returns integer[]
language sql stable security definer set search_path = public, pg_temp
as $$
    select case
        when session_user = 'muster_api' then
            case coalesce(current_setting('muster.enterprise', true), '')
                when 'all' then null
                when '' then '{}'::integer[]
                else string_to_array(current_setting('muster.enterprise', true), ',')::integer[]
            end
        when session_user in ('muster_ingest', 'muster_notary') then null
        when pg_has_role(session_user, (select pg_get_userbyid(relowner) from pg_class where oid = 'enterprise'::regclass), 'member') then null
        else coalesce((select array_agg(reader.enterprise) from reader where reader.role = session_user), '{}')
    end
$$;

create function permitted(enterprise integer) returns boolean
language sql stable parallel safe
as $$
    select (select permitted_enterprises()) is null or enterprise = any ((select permitted_enterprises())::integer[])
$$;

alter table enterprise enable row level security;
alter table enterprise force row level security;
create policy tenant on enterprise
    using ((select permitted_enterprises()) is null or id = any ((select permitted_enterprises())::integer[]));

grant usage on schema public to muster_ingest, muster_api, muster_notary, muster_reader;
grant select on enterprise to muster_ingest, muster_notary, muster_reader;
grant select, insert, update on enterprise to muster_api;
