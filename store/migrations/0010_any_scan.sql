-- Scans of every time through one view. On plain PostgreSQL the table holds them all, those of odd times in its default
-- partition; on TimescaleDB, which has no such partition, `store.engine` lets the view unite two tables.

create view any_scan as select device, time, received, value, quality, batch from scan;
comment on view any_scan is 'Every stored scan, also those whose source time is far from now.';

create or replace view reading with (security_barrier) as
select scan.device, tag.position, tag.name as tag, scan.time, scan.received,
       scan.value[tag.position] as value,
       coalesce(scan.quality[tag.position], 0)::smallint as quality, scan.batch
from tag
join any_scan scan on scan.device = tag.device
where tag.enterprise <@ (select permitted_enterprises())
  and (scan.value[tag.position] is not null or scan.quality[tag.position] <> 0);

create or replace view device_scan with (security_barrier) as
select scan.* from any_scan scan join device on device.id = scan.device
where device.enterprise <@ (select permitted_enterprises());

create or replace view latest_scan with (security_barrier) as
select device.id as device, newest.time, newest.received, newest.value, newest.quality, newest.batch
from device
cross join lateral (
    select * from any_scan scan where scan.device = device.id and scan.time < now() + interval '1 day'
    order by scan.time desc limit 1
) newest
where device.enterprise <@ (select permitted_enterprises());
