-- name: due
-- Minutes that have passed, and minutes so far ahead that waiting for them makes no sense, oldest first.
select partition, stride, time, device, marked
from rollup_due
where time <= clock_timestamp() - interval '1 minute' - %(settle)s or time > clock_timestamp() + interval '1 hour'
order by time
limit %(marks)s;

-- name: device_minutes
-- The named minutes, for one device or for all of a partition, device by device: times in µs since 2000, and how many
-- tags the device has.
with due as (
    select unnest(%(partitions)s::integer[]) as partition, unnest(%(strides)s::integer[]) as stride,
           unnest(%(times)s::timestamptz[]) as time, unnest(%(devices)s::integer[]) as device
), pair as (
    select distinct device.id as device, due.time
    from due join device on due.device = device.id
    where due.device <> 0
    union
    select device.id, due.time
    from due join device on device.id %% due.stride = due.partition
    where due.device = 0
)
select device, (extract(epoch from time) * 1000000)::bigint - 946684800000000,
       coalesce((select max(tag.position) from tag where tag.device = pair.device), 1)
from pair
order by device, time;

-- name: scans
-- The scans of these minutes of devices (times in µs since 2000), those alike in length joined column by column; first the
-- number of each one's minute among those named. A minute gives at most so many scans as its `most`.
select string_agg(int4send(number), ''), string_agg(timestamptz_send(time), ''), string_agg(timestamptz_send(received), ''),
       string_agg(int8send(batch), ''), string_agg(value, ''), string_agg(quality, '')
from (
    select pair.number, scan.time, scan.received, scan.batch, array_send(scan.value) as value,
           array_send(scan.quality) as quality
    from (
        select (number - 1)::integer as number, device, most,
               timestamptz '2000-01-01 00:00Z' + minute * interval '1 microsecond' as time
        from unnest(%(devices)s::integer[], %(minutes)s::bigint[], %(most)s::integer[]) with ordinality
            as named (device, minute, most, number)
        offset 0
    ) pair
    cross join lateral (
        select time, received, batch, value, quality
        from any_scan
        where device = pair.device and time >= pair.time and time < pair.time + interval '1 minute'
        limit pair.most
    ) scan
    offset 0
) taken
group by length(value), length(quality);

-- name: create_rolled
-- Where roll-ups wait until all of a transaction are made. It goes with it: no vacuum would freeze a table that stays.
create temporary table rolled (like rollup_minute) on commit drop;

-- name: copy_rolled
-- Takes made roll-ups.
copy rolled from stdin (format binary);

-- name: store_rolled
-- Stores them. Where retention has dropped raw scans of that time, what was computed before stays.
insert into rollup_minute (device, time, count, good, min, max, mean, last)
select device, time, count, good, min, max, mean, last from rolled order by device, time
on conflict (device, time) do update
set count = excluded.count, good = excluded.good, min = excluded.min, max = excluded.max, mean = excluded.mean,
    last = excluded.last
where rollup_minute.time >= coalesce((select max(to_time) from retention where relation = 'scan'), '-infinity');

-- name: roll_unusual
-- Computes the named minutes of devices afresh from their scans, whatever these are and however many, by the same rules.
-- Where retention has dropped raw scans of that time, what was computed before stays.
-- A device's minute is computed by itself, its scans numbered first: what is sorted then are short rows, a few hundred at a
-- time. Sums take their readings in a fixed order, so that computing twice gives the same bits. PostgreSQL refuses sums
-- that overflow and quotients that underflow, and no such reading may stop the job: a mean over readings that are
-- not all finite and within 1e290 is NaN, and readings below 1e-290 weigh nothing in it.
with pair as (
    select unnest(%(devices)s::integer[]) as device, unnest(%(times)s::timestamptz[]) as time
), tag_minute as (
    select pair.device, pair.time as minute, found.*, found.every[cardinality(found.every)] as last
    from pair
    cross join lateral (
        select position::integer as position,
               count(value)::integer as count,
               count(*) filter (where good)::integer as good,
               min(value) filter (where good) as min,
               max(value) filter (where good) as max,
               bool_or(not (abs(value) < 1e290)) filter (where good) as beyond,
               sum(value order by place, value) filter (where good and abs(value) < 1e290 and abs(value) > 1e-290) as sum,
               array_agg(value order by place, value) filter (where good) as every
        from (
            select taken.first - 1 + item.number as position, taken.place, item.value,
                   item.value is not null and coalesce(item.quality, 0) = 0 as good
            from (
                select scan.value, scan.quality, array_lower(scan.value, 1) as first,
                       dense_rank() over (order by scan.time, scan.received, scan.batch) as place
                from any_scan scan
                where scan.device = pair.device and scan.time >= pair.time and scan.time < pair.time + interval '1 minute'
            ) taken
            cross join lateral unnest(taken.value, taken.quality) with ordinality as item (value, quality, number)
            offset 0
        ) piece
        group by position
        having count(value) > 0
    ) found
), tag_mean as (
    select *, case
        when good = 0 then null
        when beyond then 'NaN'::float8
        when sum is null or abs(sum) < 1e-290 then 0
        else sum / good
    end as mean
    from tag_minute
), dense as (
    select device, minute, generate_series(1, max(position)) as position from tag_minute group by device, minute
)
insert into rollup_minute (device, time, count, good, min, max, mean, last)
select device, minute, array_agg(count order by position), array_agg(good order by position),
       array_agg(min order by position), array_agg(max order by position), array_agg(mean order by position),
       array_agg(last order by position)
from dense left join tag_mean using (device, minute, position)
group by device, minute
on conflict (device, time) do update
set count = excluded.count, good = excluded.good, min = excluded.min, max = excluded.max, mean = excluded.mean,
    last = excluded.last
where rollup_minute.time >= coalesce((select max(to_time) from retention where relation = 'scan'), '-infinity');

-- name: done
-- Forgets the marks worked on, but not those set again meanwhile.
delete from rollup_due
using unnest(%(partitions)s::integer[], %(strides)s::integer[], %(times)s::timestamptz[], %(devices)s::integer[],
             %(marks)s::bigint[]) as worked (partition, stride, time, device, marked)
where rollup_due.partition = worked.partition and rollup_due.stride = worked.stride
  and rollup_due.time = worked.time and rollup_due.device = worked.device and rollup_due.marked = worked.marked;

-- name: mark_hours
-- Remembers the hours of the named minutes.
insert into rollup_hour_due (partition, stride, time, device)
select distinct partition, stride, date_trunc('hour', time, 'UTC'), device
from unnest(%(partitions)s::integer[], %(strides)s::integer[], %(times)s::timestamptz[], %(devices)s::integer[])
     as worked (partition, stride, time, device)
on conflict do nothing;

-- name: due_hours
-- Hours that have ended, and others that have waited long enough, oldest first.
select partition, stride, time, device
from rollup_hour_due
where time <= clock_timestamp() - interval '1 hour' or marked_at <= clock_timestamp() - %(patience)s
order by time
limit %(marks)s;

-- name: forget_hours
-- Hours are forgotten before they are computed: a minute that another session rolls up meanwhile marks its hour again.
delete from rollup_hour_due
using unnest(%(partitions)s::integer[], %(strides)s::integer[], %(times)s::timestamptz[], %(devices)s::integer[])
      as due (partition, stride, time, device)
where rollup_hour_due.time = due.time and rollup_hour_due.partition = due.partition
  and rollup_hour_due.device = due.device and rollup_hour_due.stride = due.stride;

-- name: hours
-- Computes the named hours afresh from the roll-ups of their minutes; what was computed before stays where retention has
-- dropped those.
with due as (
    select unnest(%(partitions)s::integer[]) as partition, unnest(%(strides)s::integer[]) as stride,
           unnest(%(times)s::timestamptz[]) as time, unnest(%(devices)s::integer[]) as device
), pair as (
    select distinct device.id as device, due.time
    from due join device on due.device = device.id
    where due.device <> 0
    union
    select device.id, due.time
    from due join device on device.id %% due.stride = due.partition
    where due.device = 0
), tag_hour as (
    select pair.device, pair.time as hour, found.*, found.every[cardinality(found.every)] as last
    from pair
    cross join lateral (
        select position::integer as position,
               sum(count)::integer as count,
               sum(good)::integer as good,
               min(min) as min,
               max(max) as max,
               bool_or(mean = 'NaN') as beyond,
               sum(mean * good order by time) filter (where mean <> 'NaN') as sum,
               array_agg(last order by time) filter (where good > 0) as every
        from (
            select time, unnest(count) as count, unnest(good) as good, unnest(min) as min, unnest(max) as max,
                   unnest(mean) as mean, unnest(last) as last, generate_subscripts(count, 1) as position
            from rollup_minute
            where device = pair.device and time >= pair.time and time < pair.time + interval '1 hour'
            offset 0
        ) piece
        where count is not null
        group by position
    ) found
), tag_mean as (
    select *, case
        when good = 0 then null
        when beyond then 'NaN'::float8
        when sum is null or abs(sum) < 1e-290 then 0
        else sum / good
    end as mean
    from tag_hour
), dense as (
    select device, hour, generate_series(1, max(position)) as position from tag_hour group by device, hour
)
insert into rollup_hour (device, time, count, good, min, max, mean, last)
select device, hour, array_agg(count order by position), array_agg(good order by position),
       array_agg(min order by position), array_agg(max order by position), array_agg(mean order by position),
       array_agg(last order by position)
from dense left join tag_mean using (device, hour, position)
group by device, hour
on conflict (device, time) do update
set count = excluded.count, good = excluded.good, min = excluded.min, max = excluded.max, mean = excluded.mean,
    last = excluded.last
where rollup_hour.time >= coalesce((select max(to_time) from retention where relation = 'rollup_minute'), '-infinity');
