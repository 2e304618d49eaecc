-- How the clock of a device, or of the server it stands behind, differs from its gateway's.

create table device_clock (
    id bigint generated always as identity primary key,
    enterprise integer not null references enterprise,
    device integer not null references device,
    gateway integer not null,
    measured_at timestamptz not null,
    clock_offset interval not null,
    accuracy interval not null,
    recorded_at timestamptz not null default clock_timestamp()
);
create index device_clock_newest on device_clock (device, measured_at desc);
comment on table device_clock is 'The source''s clock less the gateway''s, once per measured change. Reported and reviewed, never a reason not to count.';

create trigger append_only before update or delete on device_clock for each row execute function refuse_change();
alter table device_clock enable row level security;
alter table device_clock force row level security;
create policy tenant on device_clock using (coalesce(enterprise, 0) <@ (select permitted_enterprises()));
grant select on device_clock to muster_ingest, muster_api, muster_notary, muster_reader;
grant insert on device_clock to muster_ingest;
