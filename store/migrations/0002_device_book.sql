-- What is registered: sites, gateways and their keys, device models, devices, tags, attestations.
-- Devices and tags are never deleted: they are retired, so that a past count keeps its meaning.

create table site (
    id integer generated always as identity primary key,
    enterprise integer not null references enterprise,
    code text not null check (code <> ''),
    name text not null,
    unique (enterprise, code)
);

create table gateway (
    id integer generated always as identity primary key,
    enterprise integer references enterprise,
    code text not null unique check (code <> ''),
    name text not null,
    created_at timestamptz not null default now()
);
comment on column gateway.enterprise is 'Null: run by the operator for several enterprises.';

create table gateway_key (
    gateway integer not null references gateway,
    public_key bytea not null check (length(public_key) = 32),
    enrolled_at timestamptz not null default now(),
    revoked_at timestamptz,
    primary key (gateway, public_key)
);
comment on table gateway_key is 'Ed25519 public keys whose signatures a gateway''s batches may bear.';

create table device_model (
    id integer generated always as identity primary key,
    enterprise integer references enterprise,
    code text not null unique check (code <> ''),
    name text not null,
    protocol text not null,
    device_class text not null check (device_class in ('operating', 'processing', 'mobile', 'other')),
    kind text not null default '',
    report_mode text not null default 'polled' check (report_mode in ('polled', 'periodic', 'on_change', 'sleeping')),
    interval_s double precision not null default 1 check (interval_s > 0),
    tags jsonb not null
);
comment on column device_model.enterprise is 'Null: shared by all enterprises.';

create sequence device_version_seq;

create table device (
    id integer generated always as identity primary key,
    enterprise integer not null references enterprise,
    site integer references site,
    gateway integer references gateway,
    device_model integer references device_model,
    code text not null check (code <> ''),
    name text not null check (name <> ''),
    device_class text not null check (device_class in ('operating', 'processing', 'mobile', 'other')),
    industry text not null default '',
    kind text not null default '',
    equipment text not null default '' check (equipment in ('', 'high_energy', 'general_power', 'intelligent')),
    consumes_energy boolean not null default true,
    report_mode text not null default 'polled' check (report_mode in ('polled', 'periodic', 'on_change', 'sleeping')),
    interval_s double precision not null default 1 check (interval_s > 0),
    shift_pattern jsonb,
    manufacturer text not null default '',
    model text not null default '',
    serial_number text not null default '',
    commissioned_on date,
    origin text not null default 'unknown' check (origin in ('real', 'unknown', 'replayed', 'simulated')),
    protocol text not null,
    connection jsonb not null default '{}',
    endpoint text not null default '',
    version bigint not null default nextval('device_version_seq'),
    created_at timestamptz not null default now(),
    retired_at timestamptz
);
create unique index device_code on device (enterprise, code) where retired_at is null;
create index device_gateway on device (gateway);
comment on column device.origin is 'What the ledger says; real needs an attestation (trigger below).';
comment on column device.endpoint is 'Equal for two devices iff they share one process address space.';

create table tag (
    device integer not null references device,
    position integer not null check (position between 1 and 32767),
    enterprise integer not null references enterprise,
    name text not null check (name <> ''),
    label text not null default '',
    type text not null,
    address jsonb not null,
    unit text not null default '',
    scale double precision not null default 1,
    "offset" double precision not null default 0,
    writable boolean not null default false,
    low double precision,
    high double precision,
    retired_at timestamptz,
    primary key (device, position)
);
create unique index tag_name on tag (device, name) where retired_at is null;

create table attestation (
    id integer generated always as identity primary key,
    enterprise integer not null references enterprise,
    device integer not null references device,
    serial_number text not null check (serial_number <> ''),
    nameplate bytea not null,
    nameplate_sha256 bytea not null,
    attested_by text not null check (attested_by <> ''),
    attested_on date not null,
    recorded_at timestamptz not null default clock_timestamp()
);
comment on table attestation is 'Who says that a device is a real machine, with its nameplate: the only way to origin real.';

-- The ledger as it stood at any past second: one row per change, never altered.
create table device_history (
    device integer not null,
    enterprise integer not null,
    recorded_at timestamptz not null,
    version bigint not null,
    site integer,
    gateway integer,
    code text not null,
    name text not null,
    device_class text not null,
    industry text not null,
    kind text not null,
    consumes_energy boolean not null,
    interval_s double precision not null,
    origin text not null,
    protocol text not null,
    endpoint text not null,
    retired boolean not null,
    primary key (device, recorded_at, version)
);

create function device_changed() returns trigger language plpgsql as $$
begin
    if new.origin = 'real' and not exists (
        select from attestation where device = new.id and serial_number = new.serial_number
    ) then
        raise exception 'device %: origin real needs an attestation of serial number "%"', new.code, new.serial_number
            using errcode = 'check_violation', constraint = 'device_origin_attested';
    end if;
    if new.site is not null and not exists (
        select from site where id = new.site and enterprise = new.enterprise
    ) then
        raise exception 'device %: its site belongs to another enterprise', new.code
            using errcode = 'check_violation', constraint = 'device_site_of_enterprise';
    end if;
    if new.gateway is not null and not exists (
        select from gateway where id = new.gateway and coalesce(enterprise, new.enterprise) = new.enterprise
    ) then
        raise exception 'device %: its gateway belongs to another enterprise', new.code
            using errcode = 'check_violation', constraint = 'device_gateway_of_enterprise';
    end if;
    if new.device_model is not null and not exists (
        select from device_model where id = new.device_model and coalesce(enterprise, new.enterprise) = new.enterprise
    ) then
        raise exception 'device %: its model belongs to another enterprise', new.code
            using errcode = 'check_violation', constraint = 'device_model_of_enterprise';
    end if;
    if tg_op = 'UPDATE' then
        if new.id <> old.id or new.enterprise <> old.enterprise then
            raise exception 'device %: its number and enterprise never change', old.code using errcode = 'check_violation';
        end if;
        new.version := nextval('device_version_seq');
    end if;
    return new;
end
$$;
create trigger device_changed before insert or update on device for each row execute function device_changed();

create function device_recorded() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into device_history values (
        new.id, new.enterprise, clock_timestamp(), new.version, new.site, new.gateway, new.code, new.name,
        new.device_class, new.industry, new.kind, new.consumes_energy, new.interval_s, new.origin, new.protocol,
        new.endpoint, new.retired_at is not null
    );
    perform pg_notify('device', new.id::text);
    return null;
end
$$;
create trigger device_recorded after insert or update on device for each row execute function device_recorded();

create function gateway_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('gateway', '');
    return null;
end
$$;
create trigger gateway_changed after insert or update on gateway for each statement execute function gateway_changed();
create trigger gateway_changed after insert or update on gateway_key for each statement execute function gateway_changed();
comment on trigger gateway_changed on gateway_key is 'So that a revoked key is refused at once.';

create function tag_changed() returns trigger language plpgsql as $$
begin
    if not exists (select from device where id = new.device and enterprise = new.enterprise) then
        raise exception 'tag %: its device belongs to another enterprise', new.name
            using errcode = 'check_violation', constraint = 'tag_of_enterprise';
    end if;
    if tg_op = 'UPDATE' and (new.device <> old.device or new.position <> old.position) then
        raise exception 'tag %: a position is never given to another tag', old.name using errcode = 'check_violation';
    end if;
    return new;
end
$$;
create trigger tag_changed before insert or update on tag for each row execute function tag_changed();

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '%: rows here are never changed or deleted', tg_table_name using errcode = 'insufficient_privilege';
end
$$;
create trigger append_only before update or delete on device_history for each row execute function refuse_change();
create trigger append_only before update or delete on attestation for each row execute function refuse_change();
create trigger never_deleted before delete on device for each row execute function refuse_change();
create trigger never_deleted before delete on tag for each row execute function refuse_change();

do $$
declare
    name text;
begin
    foreach name in array array['site', 'device', 'tag', 'attestation', 'device_history'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy tenant on %I using (enterprise <@ (select permitted_enterprises()))', name);
        execute format('grant select on %I to muster_ingest, muster_notary, muster_api, muster_reader', name);
    end loop;
    -- What serves several enterprises is seen by each and changed by the operator only.
    foreach name in array array['gateway', 'device_model'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy tenant on %I using (coalesce(enterprise, 0) <@ (select permitted_enterprises()))', name);
        execute format('create policy shared on %I for select using (enterprise is null)', name);
        execute format('grant select on %I to muster_ingest, muster_notary, muster_api, muster_reader', name);
    end loop;
end
$$;
alter table gateway_key enable row level security;
alter table gateway_key force row level security;
create policy of_gateway on gateway_key using (gateway in (select id from gateway));
grant insert, update on site, gateway, device_model, device, tag to muster_api;
grant insert on attestation to muster_api;
grant usage on sequence device_version_seq to muster_api;
grant select on gateway_key to muster_ingest, muster_api, muster_notary;
