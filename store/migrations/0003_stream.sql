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
comment on column stream_position.stream is 'Which stream the sequence counts in: the instant it was created.';
comment on column stream_position.fence is 'Rises with each take-over; a writer that holds an older one is refused.';

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
create index batch_stream on batch (partition, stream_sequence);
comment on column batch.stream_sequence is '0: not from the stream but replayed from quarantine.';
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
    polls bigint,
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
    detail jsonb not null default '{}',
    body bytea not null,
    signature text,
    recorded_at timestamptz not null default clock_timestamp(),
    replayed_at timestamptz,
    replayed_batch bigint
);
create index quarantine_recorded on quarantine (recorded_at desc, id desc);
comment on table quarantine is 'Batches that were refused, whole and with the reason; the stream went on without them.';
comment on column quarantine.replayed_batch is 'The batch as which it was stored after all.';

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

create table session (
    id bigint generated always as identity primary key,
    enterprise integer not null references enterprise,
    device integer not null references device,
    gateway integer not null references gateway,
    epoch bigint not null,
    opened_at timestamptz not null,
    closed_at timestamptz,
    reason text not null default '',
    recorded_at timestamptz not null,
    closed_recorded_at timestamptz,
    check (closed_at >= opened_at)
);
create index session_device on session (device, opened_at desc);
create index session_open on session (gateway, device) where closed_at is null;
comment on table session is 'One transport connection between gateway and device. No closed_at: still open as far as is known.';

create function session_ends() returns trigger language plpgsql as $$
begin
    if (new.id, new.enterprise, new.device, new.gateway, new.epoch, new.opened_at, new.recorded_at)
        is distinct from (old.id, old.enterprise, old.device, old.gateway, old.epoch, old.opened_at, old.recorded_at)
        or old.closed_at is not null then
        raise exception 'session: a session may only end, once' using errcode = 'insufficient_privilege';
    end if;
    return new;
end
$$;
create trigger session_ends before update on session for each row execute function session_ends();
create trigger never_deleted before delete on session for each row execute function refuse_change();

create view reading with (security_barrier) as
select scan.device, tag.position, tag.name as tag, scan.time, scan.received,
       scan.value[tag.position] as value,
       coalesce(scan.quality[tag.position], 0)::smallint as quality, scan.batch
from tag
join scan on scan.device = tag.device
where tag.enterprise <@ (select permitted_enterprises())
  and (scan.value[tag.position] is not null or scan.quality[tag.position] <> 0);
comment on view reading is 'One row per reading of a numeric tag; name a device and a tag, and it is one index scan. No value: the device gave none, and the quality says why.';

create view text_reading with (security_barrier) as
select r.device, r.position, tag.name as tag, r.time, r.received, r.value, r.quality, r.batch
from reading_text r
join tag on tag.device = r.device and tag.position = r.position
where tag.enterprise <@ (select permitted_enterprises());

create view device_scan with (security_barrier) as
select scan.* from scan join device on device.id = scan.device
where device.enterprise <@ (select permitted_enterprises());

create view latest_scan with (security_barrier) as
select device.id as device, newest.time, newest.received, newest.value, newest.quality, newest.batch
from device
cross join lateral (
    select * from scan where scan.device = device.id and scan.time < now() + interval '1 day'
    order by scan.time desc limit 1
) newest
where device.enterprise <@ (select permitted_enterprises());
comment on view latest_scan is 'The newest scan of each device: one index probe per device. A source time more than a day ahead is not believed.';

create view latest_reading with (security_barrier) as
select tag.device, tag.position, tag.name as tag, newest.time, newest.received, newest.value, newest.quality, newest.batch
from tag
cross join lateral (
    select scan.time, scan.received, scan.value[tag.position] as value,
           coalesce(scan.quality[tag.position], 0)::smallint as quality, scan.batch
    from scan
    where scan.device = tag.device and scan.time between now() - interval '1 day' and now() + interval '1 day'
      and (scan.value[tag.position] is not null or scan.quality[tag.position] <> 0)
    order by scan.time desc limit 1
) newest
where tag.enterprise <@ (select permitted_enterprises()) and tag.retired_at is null;
comment on view latest_reading is 'The newest reading of each numeric tag within a day, whichever of the device''s scans holds it.';

create view latest_text with (security_barrier) as
select tag.device, tag.position, tag.name as tag, newest.time, newest.received, newest.value, newest.quality, newest.batch
from tag
cross join lateral (
    select r.time, r.received, r.value, r.quality, r.batch from reading_text r
    where r.device = tag.device and r.position = tag.position and r.time < now() + interval '1 day'
    order by r.time desc limit 1
) newest
where tag.enterprise <@ (select permitted_enterprises()) and tag.retired_at is null;
comment on view latest_text is 'The newest text reading of each tag.';

create view received_batch with (security_barrier) as
select batch.* from batch join gateway on gateway.id = batch.gateway
where gateway.enterprise <@ (select permitted_enterprises())
   or (gateway.enterprise is null and 0 <@ (select permitted_enterprises()));
comment on view received_batch is 'Every batch ever stored, by its gateway''s enterprise; those of a shared gateway only for the operator.';

create trigger append_only before update or delete on gap for each row execute function refuse_change();
create trigger append_only before update or delete on identity for each row execute function refuse_change();

do $$
declare
    name text;
begin
    foreach name in array array['gap', 'identity', 'quarantine', 'session'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy tenant on %I using (coalesce(enterprise, 0) <@ (select permitted_enterprises()))', name);
    end loop;
end
$$;
create policy shared on gap for select using (enterprise is null and gateway in (select id from gateway));
alter table gateway_position enable row level security;
alter table gateway_position force row level security;
create policy of_gateway on gateway_position using (gateway in (select id from gateway));

grant select on gap, identity, session to muster_ingest, muster_api, muster_notary, muster_reader;
grant insert on gap, identity, session to muster_ingest;
grant update (closed_at, reason, closed_recorded_at) on session to muster_ingest;
grant select, insert, update on quarantine to muster_ingest;
grant select on quarantine to muster_api, muster_notary;
grant select, insert, update on stream_position, gateway_position to muster_ingest;
grant select on stream_position, gateway_position to muster_api, muster_notary;
grant select, insert on batch, scan, reading_text to muster_ingest;
grant select on batch, scan, reading_text to muster_notary;
grant usage on sequence batch_id_seq to muster_ingest;
grant select on reading, text_reading, device_scan, latest_scan, latest_reading, latest_text
    to muster_api, muster_reader, muster_notary;
grant select on received_batch to muster_api, muster_notary;
