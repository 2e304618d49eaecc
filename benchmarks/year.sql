-- A year of presence for the benchmarks, written straight into the tables that ingest writes.

-- name: book
-- Enterprises, a gateway for each 500 devices, and devices that say they are simulated.
with enterprises as (
    insert into enterprise (code, name, industry)
    select 'B-' || n, 'bench ' || n, 'machinery' from generate_series(1, 10) n returning id
),
gateways as (
    insert into gateway (code, name) select 'B-' || n, 'bench ' || n from generate_series(0, %(devices)s / 500) n returning id
)
insert into device (enterprise, gateway, code, name, device_class, protocol, origin)
select (select min(id) from enterprises) + n %% 10, (select min(id) from gateways) + (n - 1) / 500,
       'B-' || n, 'bench ' || n, (array['operating', 'processing', 'mobile', 'other'])[1 + n %% 4],
       (array['modbus', 'opcua', 'mqtt', 'sparkplug'])[1 + n / 4 %% 4], 'simulated'
from generate_series(1, %(devices)s) n;

-- name: history
-- Registered before the year began, and never changed since.
insert into device_history
select device, enterprise, %(begin)s::timestamptz - interval '1 day', 0, site, gateway, code, name, device_class, industry,
       kind, consumes_energy, interval_s, origin, protocol, endpoint, retired
from device_history;

-- name: identities
-- What each device said it is when the year began, as simulated devices must.
insert into identity (enterprise, device, gateway, observed_at, origin, evidence, digest, recorded_at)
select enterprise, id, gateway, %(begin)s, 'simulated', '{}', '', %(begin)s from device;

-- name: watch
-- Each gateway is started anew every 30 days and watches without a break in between.
insert into watch
select nextval('watch_id_seq'), currval('watch_id_seq'), null, gateway.id, partition, month + 1,
       from_time, from_time + interval '30 days' - interval '1 minute', from_time, from_time + interval '30 days' - interval '1 minute',
       true, true
from gateway
cross join generate_series(0, %(partitions)s - 1) partition
cross join generate_series(0, 11) month
cross join lateral (select %(begin)s::timestamptz + month * interval '30 days' as from_time) begun;

-- name: presence
-- Connected when the watch begins; every other day an outage of up to half an hour, and each told a second later.
with span as materialized (
    select device.id as device, device.enterprise, device.gateway, watch.span, watch.valid_from as from_time
    from device
    join watch on watch.gateway = device.gateway and watch.partition = device.id %% %(partitions)s
),
outage as (
    select span.*, from_time + (day * 2 + 2 * random()) * interval '1 day' as fell, random() * interval '30 minutes' as lasted
    from span cross join generate_series(0, 13) day
)
insert into presence
select device, enterprise, gateway, span, at, state, reason, at + interval '1 second'
from (
    select device, enterprise, gateway, span, from_time + interval '1 second' as at, 4 as state, 'value' as reason from span
    union all
    select device, enterprise, gateway, span, fell, 1, 'connection-refused' from outage
    union all
    select device, enterprise, gateway, span, fell + lasted, 4, 'value' from outage
) seen
order by at;

-- name: tags
-- Ten numeric tags each for the first 500 devices.
insert into tag (device, position, enterprise, name, type, address)
select device.id, position, device.enterprise, 't' || position, 'float64', '{}'
from (select id, enterprise from device order by id limit 500) device cross join generate_series(1, 10) position;

-- name: scans
-- An hour of one scan every 10 s of those devices, all ten values in it.
insert into scan (device, time, received, value, quality, batch)
select device, at, at, array(select device + n + random() from generate_series(1, 10) n), null, 1
from (select distinct device from tag) tagged
cross join generate_series(now() - interval '1 hour', now(), interval '10 seconds') at
order by at, device;

-- name: hours
-- A month of hours of the first ten of those devices.
insert into rollup_hour
select device, at, array_fill(3600, array[10]), array_fill(3600, array[10]), given.value, given.value, given.value, given.value
from (select distinct device from tag order by device limit 10) tagged
cross join generate_series(date_trunc('hour', now()) - interval '30 days', now(), interval '1 hour') at
cross join lateral (select array(select device + n + random() from generate_series(1, 10) n) as value) given
order by at, device;

-- name: minutes
-- And a day of minutes.
insert into rollup_minute
select device, at, array_fill(60, array[10]), array_fill(60, array[10]), given.value, given.value, given.value, given.value
from (select distinct device from tag order by device limit 10) tagged
cross join generate_series(date_trunc('minute', now()) - interval '1 day', now(), interval '1 minute') at
cross join lateral (select array(select device + n + random() from generate_series(1, 10) n) as value) given
order by at, device;

-- name: bare_month
-- The limit of a device's month by hour: its ten tags' rows, kept ready.
create table bare_month as
select * from rollup_hourly where device = (select min(device) from tag) order by position, time;

-- name: bare_day
-- The limit of a device's day by minute, likewise.
create table bare_day as
select * from rollup where device = (select min(device) from tag) order by position, time;

-- name: bare_states
-- The limit of a past count: the answer itself, kept ready under its key, one row a device.
create table bare_states as
select id as device, 4 as state, 'value' as reason, now() as since from device order by id;

-- name: bare_latest
-- The limit of the latest values: the answer itself, kept ready under its key, one row a tag.
create table bare_latest as
select device, position, name, now() as time, now() as received, 1.5::float8 as value, 0::smallint as quality from tag;

-- name: allow
-- The role that asks may read the limits.
grant select on bare_states, bare_latest, bare_month, bare_day to muster_api;
