-- The newest reading of each tag stands nearly always in its device's newest scan: one index probe for each device, and
-- one more only for a tag that is not in it. The answers are those of the view before. `offset 0` keeps the planner from
-- probing for each tag after all; a condition on the device still reaches the innermost select.

create or replace view latest_reading with (security_barrier) as
select device.id as device, own.position, own.tag, found.time, found.received, found.value, found.quality, found.batch
from device
cross join lateral (
    select scan.time, scan.received, scan.value, scan.quality, scan.batch
    from any_scan scan
    where scan.device = device.id and scan.time between now() - interval '1 day' and now() + interval '1 day'
    order by scan.time desc limit 1
) newest
cross join lateral (
    select tag.position, tag.name as tag, newest.time, newest.received, newest.value[tag.position] as value,
           newest.quality[tag.position] as quality, newest.batch
    from tag
    where tag.device = device.id and tag.enterprise <@ (select permitted_enterprises()) and tag.retired_at is null
    offset 0
) own
cross join lateral (
    select own.time, own.received, own.value, coalesce(own.quality, 0)::smallint as quality, own.batch
    where own.value is not null or own.quality <> 0
    union all
    (select scan.time, scan.received, scan.value[own.position], coalesce(scan.quality[own.position], 0)::smallint, scan.batch
     from any_scan scan
     where (own.value is not null or own.quality <> 0) is not true
       and scan.device = device.id and scan.time between now() - interval '1 day' and now() + interval '1 day'
       and (scan.value[own.position] is not null or scan.quality[own.position] <> 0)
     order by scan.time desc limit 1)
) found
where device.enterprise <@ (select permitted_enterprises());
