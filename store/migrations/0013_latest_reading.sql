-- The newest reading of each tag, once more: a device's tags come from an index alone, and a tag that is not in the
-- newest scan is looked for by a sub-select that otherwise is not even begun. The answers are those of the view before.

create index tag_in_use on tag (device, position) include (name, enterprise) where retired_at is null;

create or replace view latest_reading with (security_barrier) as
select device.id as device, found.position, found.tag,
       case when found.here then found.time else (found.older).time end as time,
       case when found.here then found.received else (found.older).received end as received,
       case when found.here then found.value else ((found.older).value)[found.position] end as value,
       coalesce(case when found.here then found.quality else ((found.older).quality)[found.position] end, 0)::smallint as quality,
       case when found.here then found.batch else (found.older).batch end as batch
from device
cross join lateral (
    select scan.time, scan.received, scan.value, scan.quality, scan.batch
    from any_scan scan
    where scan.device = device.id and scan.time between now() - interval '1 day' and now() + interval '1 day'
    order by scan.time desc limit 1
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
where device.enterprise <@ (select permitted_enterprises()) and (found.here or (found.older).time is not null);
