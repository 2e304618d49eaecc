-- What each device was recorded with in each minute, and the SHA-256 of it: written by who checked the signed batches,
-- in the same transactions as positions and rows, so that rows which change later no longer agree with it.
-- A row holds many devices, as fixed-width records (`muster.canonical.RECORD`): it costs one insert a minute and partition.

create table device_minutes (
    minute timestamptz not null,
    partition integer not null,
    batches bigint[] not null,
    devices integer not null,
    records bytea not null,
    recorded_at timestamptz not null,
    check (octet_length(records) = 84 * devices)
) partition by range (minute);
create index device_minutes_minute on device_minutes (minute, partition);
comment on table device_minutes is 'Device-minutes of one partition: those of a whole minute of recording, or of the part that one worker recorded, or of one batch replayed from quarantine.';
comment on column device_minutes.batches is 'The batches digested, in the order in which their scans stand.';
create table device_minutes_other partition of device_minutes default;

create function unsigned(record bytea, at integer, length integer) returns bigint
language sql immutable parallel safe as $$
    select ('x' || lpad(encode(substring(record from at for length), 'hex'), 16, '0'))::bit(64)::bigint
$$;

create view device_minute with (security_barrier) as
select unsigned(r.record, 1, 4)::integer as device, m.minute, m.recorded_at,
       unsigned(r.record, 5, 4) as scans, unsigned(r.record, 9, 4) as texts,
       unsigned(r.record, 13, 4) as readings, unsigned(r.record, 17, 4) as good,
       to_timestamp(0) + unsigned(r.record, 21, 8) * interval '1 microsecond' as first_time,
       to_timestamp(0) + unsigned(r.record, 29, 8) * interval '1 microsecond' as last_time,
       to_timestamp(0) + unsigned(r.record, 37, 8) * interval '1 microsecond' as first_received,
       to_timestamp(0) + unsigned(r.record, 45, 8) * interval '1 microsecond' as last_received,
       substring(r.record from 53 for 32) as digest, m.batches
from device_minutes m
cross join lateral (
    select substring(m.records from 84 * n + 1 for 84) as record from generate_series(0, m.devices - 1) n
) r
join device on device.id = unsigned(r.record, 1, 4)
where device.enterprise <@ (select permitted_enterprises());
comment on view device_minute is 'What a device was recorded with in a minute of the database''s clock, and the SHA-256 of its canonical bytes.';

create trigger append_only before update or delete on device_minutes for each row execute function refuse_change();
grant insert, select on device_minutes to muster_ingest;
grant select on device_minutes to muster_notary;
grant select on device_minute to muster_api, muster_notary, muster_reader;
