-- What arrived: scans, text, the batches they came in, how far each partition of the stream was stored,
-- what was never acquired, and what was refused.
-- Scans and text are range-partitioned by source time; the partitions are made and dropped by `store.partitions`.
-- Columnstore engines refuse row security, so these tables have no direct grant: people read the views.

create table stream_position (
    partition integer primary key,
    stream text not null default '',
    sequence bigint not null default 0,
    fence bigint not null default 0,
    worker text not null default '',
    moved_at timestamptz not null default clock_timestamp()
);
comment on table stream_position is 'Last stored stream sequence per partition; moved by compare-and-set in the rows'' transaction.';

create table gateway_position (
    gateway integer not null references gateway,
    partition integer not null,
    epoch bigint not null,
    sequence bigint not null,
    watched_until timestamptz not null,
    primary key (gateway, partition)
);

create sequence batch_id_seq;
create table batch (
    id bigint not null,
    gateway integer not null,
    partition integer not null,
    epoch bigint not null,
    sequence bigint not null,
    stream_sequence bigint not null,
    recorded_at timestamptz not null,
    scans integer not null,
    readings integer not null,
    sha256 bytea not null,
    signature bytea not null
) partition by range (recorded_at);
create index batch_id on batch (id);
create index batch_name on batch (gateway, partition, epoch, sequence);
create table batch_other partition of batch default;

create table scan (
    device integer not null,
    time timestamptz not null,
    received timestamptz not null,
    value float8[] not null,
    quality smallint[],
    batch bigint not null
) partition by range (time);
create index scan_device_time on scan (device, time desc);
create table scan_other partition of scan default;

create table reading_text (
    device integer not null,
    position integer not null,
    time timestamptz not null,
    received timestamptz not null,
    value text not null,
    quality smallint not null,
    batch bigint not null
) partition by range (time);
create index reading_text_device_time on reading_text (device, position, time desc);
create table reading_text_other partition of reading_text default;

create table gap (
    id bigint generated always as identity primary key,
    enterprise integer references enterprise,
    gateway integer references gateway,
    partition integer,
    device integer,
    from_time timestamptz not null,
    to_time timestamptz not null,
    reason text not null,
    polls integer,
    detail jsonb not null default '{}',
    recorded_at timestamptz not null default clock_timestamp()
);
create index gap_time on gap (from_time desc, id desc);
create index gap_device on gap (device, from_time desc);
comment on table gap is 'What was never acquired or was lost, with its reason. No device: all devices of the gateway (and partition).';

create table quarantine (
    id bigint generated always as identity primary key,
    enterprise integer references enterprise,
    gateway integer,
    partition integer not null,
    stream_sequence bigint not null,
    reason text not null,
    body bytea not null,
    signature text,
    recorded_at timestamptz not null default clock_timestamp(),
    replayed_at timestamptz,
    replayed_batch bigint
);

create table identity (
    id bigint generated always as identity primary key,
    enterprise integer not null references enterprise,
    device integer not null references device,
    gateway integer not null,
    observed_at timestamptz not null,
    origin text check (origin in ('real', 'unknown', 'replayed', 'simulated')),
    evidence jsonb not null,
    digest bytea not null,
    recorded_at timestamptz not null default clock_timestamp()
);
create index identity_device on identity (device, recorded_at desc);
comment on table identity is 'What a device said it is, once per change.';

create view reading with (security_barrier) as
select scan.device, tag.position, tag.name as tag, scan.time, scan.received,
       scan.value[tag.position] as value,
       coalesce(scan.quality[tag.position], 0)::smallint as quality, scan.batch
from tag
join device on device.id = tag.device
join scan on scan.device = device.id
where permitted(device.enterprise) and scan.value[tag.position] is not null;
comment on view reading is 'One row per reading of a numeric tag; name a device and a tag, and it is one index scan.';

create view text_reading with (security_barrier) as
select r.device, r.position, tag.name as tag, r.time, r.received, r.value, r.quality, r.batch
from reading_text r
join tag on tag.device = r.device and tag.position = r.position
where permitted(tag.enterprise);

create view device_scan with (security_barrier) as
select scan.* from scan join device on device.id = scan.device where permitted(device.enterprise);

create trigger append_only before update or delete on gap for each row execute function refuse_change();
create trigger append_only before update or delete on identity for each row execute function refuse_change();

do $$
declare
    name text;
begin
    foreach name in array array['gap', 'identity', 'quarantine'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy tenant on %I using (permitted(enterprise))', name);
    end loop;
end
$$;
grant select on gap, identity to muster_ingest, muster_api, muster_notary, muster_reader;
grant insert on gap, identity to muster_ingest;
grant select, insert, update on quarantine to muster_ingest;
grant select on quarantine to muster_api, muster_notary;
grant select, insert, update on stream_position, gateway_position to muster_ingest;
grant select on stream_position, gateway_position to muster_api, muster_notary;
grant select, insert on batch, scan, reading_text to muster_ingest;
grant select on batch, scan, reading_text to muster_notary;
grant select on batch to muster_api;
grant usage on sequence batch_id_seq to muster_ingest;
grant select on reading, text_reading, device_scan to muster_api, muster_reader, muster_notary;
