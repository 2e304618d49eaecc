-- A device without a tag has no latest reading: it is not looked for in the partitions of a day.

create or replace view latest_reading with (security_barrier) as
select device.id as device, found.position, found.tag,
       case when found.here then found.time else (found.older).time end as time,
       case when found.here then found.received else (found.older).received end as received,
       case when found.here then found.value else ((found.older).value)[found.position] end as value,
       coalesce(case when found.here then found.quality else ((found.older).quality)[found.position] end, 0)::smallint as quality,
       case when found.here then found.batch else (found.older).batch end as batch
from (
    select id from device
    where enterprise <@ (select permitted_enterprises())
      and exists (select from tag where tag.device = device.id and tag.retired_at is null)
) device
cross join lateral (
    select * from (
        (select scan.time, scan.received, scan.value, scan.quality, scan.batch from any_scan scan
         where scan.device = device.id
           and scan.time > now() - interval '1 minute' and scan.time <= now() + interval '1 day'
         order by scan.time desc limit 1)
        union all
        (select scan.time, scan.received, scan.value, scan.quality, scan.batch from any_scan scan
         where scan.device = device.id
           and scan.time between now() - interval '1 day' and now() - interval '1 minute'
         order by scan.time desc limit 1)
    ) found
    limit 1
) newest
cross join lateral (
    select own.*, case when not own.here then (
        select scan from any_scan scan
        where scan.device = device.id and scan.time between now() - interval '1 day' and now() + interval '1 day'
          and (scan.value[own.position] is not null or scan.quality[own.position] <> 0)
        order by scan.time desc limit 1
    ) end as older
    from (
        select tag.position, tag.name as tag, newest.time, newest.received,
               newest.value[tag.position] as value, newest.quality[tag.position] as quality, newest.batch,
               (newest.value[tag.position] is not null or newest.quality[tag.position] <> 0) is true as here
        from tag
        where tag.device = device.id and tag.enterprise <@ (select permitted_enterprises()) and tag.retired_at is null
        offset 0
    ) own
    offset 0
) found
where found.here or (found.older).time is not null;
