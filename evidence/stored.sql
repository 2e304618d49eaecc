-- name: scans
-- The scans of given batches, of given devices between given times: device, time, received (µs), value and quality as
-- PostgreSQL sends arrays, the batch's place among those given.
with given as (
    select batch.id, one.place from unnest(%(batches)s::bigint[]) with ordinality as one (id, place)
    join batch on batch.id = one.id
)
select scan.device, (extract(epoch from scan.time) * 1000000)::bigint, (extract(epoch from scan.received) * 1000000)::bigint,
       array_send(scan.value), array_send(scan.quality), given.place
from unnest(%(device)s::integer[], %(first)s::timestamptz[], %(last)s::timestamptz[]) as asked (device, first, last)
cross join lateral (
    select * from any_scan where any_scan.device = asked.device and any_scan.time between asked.first and asked.last
    offset 0
) scan
join given on given.id = scan.batch
order by given.place;

-- name: texts
-- The same of texts.
with given as (
    select batch.id, one.place from unnest(%(batches)s::bigint[]) with ordinality as one (id, place)
    join batch on batch.id = one.id
)
select text.device, text.position, (extract(epoch from text.time) * 1000000)::bigint,
       (extract(epoch from text.received) * 1000000)::bigint, text.value, text.quality, given.place
from unnest(%(device)s::integer[], %(first)s::timestamptz[], %(last)s::timestamptz[]) as asked (device, first, last)
join reading_text text on text.device = asked.device and text.time between asked.first and asked.last
join given on given.id = text.batch
order by given.place;

-- name: minutes
-- What was written down of the minutes of a window.
select minute, partition, batches, records from device_minutes
where minute >= %(since)s and minute < %(until)s
order by minute, partition, recorded_at;

-- name: sequences
-- The sequence of each of these batches that is stored.
select id, sequence from batch where id = any (%(batches)s);

-- name: expired
-- What retention dropped of raw data.
select from_time, to_time, relation in ('batch', 'batch_other') from retention
where relation in ('scan', 'scan_other', 'reading_text', 'reading_text_other', 'batch', 'batch_other')
  and from_time is not null and to_time is not null;

-- name: batches_of
-- The batches recorded in a window.
select id, recorded_at from batch
where recorded_at >= %(since)s and recorded_at < %(until)s;

-- name: rows_between
-- Which devices and batches have rows of these source times, from when to when and how many.
select device, batch, (extract(epoch from min(time)) * 1000000)::bigint,
       (extract(epoch from max(time)) * 1000000)::bigint, count(*)
from (
    select device, batch, time from any_scan where time >= %(since)s and time < %(until)s
    union all
    select device, batch, time from reading_text where time >= %(since)s and time < %(until)s
) row
group by device, batch;

-- name: minutes_with
-- What was written down of these batches.
select m.minute, m.partition, m.batches, m.records from device_minutes m
where m.minute in (select date_trunc('minute', recorded_at) from batch where id = any (%(batches)s))
  and m.batches && %(batches)s::bigint[];

-- name: minutes_naming
-- The same when the batches themselves are gone.
select minute, partition, batches, records from device_minutes where batches && %(batches)s::bigint[];

-- name: recorded
-- When these batches were recorded.
select id, recorded_at from batch where id = any (%(batches)s);

-- name: codes
-- What these devices are called.
select device.id, enterprise.code, device.code from device join enterprise on enterprise.id = device.enterprise
where device.id = any (%(devices)s);

-- name: written
-- Since when this database has been given digests, and up to which minute every worker has written them down by now.
select (select applied_at from migration where name = 'device_minutes'),
       date_trunc('minute', clock_timestamp() - interval '10 seconds');
