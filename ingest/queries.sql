-- name: devices
-- What a batch is checked against and presence is kept by; no numbers: all devices.
select id, enterprise, coalesce(held_by, gateway, 0), interval_s, retired_at is not null,
       coalesce((select max(position) from tag where tag.device = device.id), 0)
from device
where %(numbers)s::integer[] is null or id = any (%(numbers)s);

-- name: former_gateways
-- Gateways that devices belonged to once: late batches of theirs are theirs.
select distinct device, gateway from device_history
where gateway is not null and (%(numbers)s::integer[] is null or device = any (%(numbers)s));

-- name: gateways
-- Every gateway with its enterprise and the keys its batches may be signed with.
select gateway.id, gateway.enterprise,
       coalesce(array_agg(public_key) filter (where public_key is not null and revoked_at is null), '{}')
from gateway left join gateway_key on gateway_key.gateway = gateway.id
group by gateway.id;

-- name: announce
-- This worker's sign of life: a lock that ends with its connection. False: another worker drew the same number.
select pg_try_advisory_lock(%(space)s, %(worker)s);

-- name: workers
-- The workers that live now.
select objid::bigint from pg_locks
where locktype = 'advisory' and classid = %(space)s and objsubid = 2 and granted
  and database = (select oid from pg_database where datname = current_database())
order by objid;

-- name: try_lock
-- Whether this connection now holds a partition; the lock ends with the connection.
select pg_try_advisory_lock(%(space)s, %(partition)s);

-- name: evict
-- Ends a holder that stopped in the midst of sending rows: no time limit of the server reaches it there.
select pg_terminate_backend(a.pid)
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.classid = %(space)s and l.objid = %(partition)s and l.objsubid = 2 and l.granted
  and l.database = (select oid from pg_database where datname = current_database())
  and a.state = 'active' and a.wait_event_type = 'Client'
  and a.state_change < clock_timestamp() - make_interval(secs => %(stuck_s)s);

-- name: make_position
-- A partition that nobody stored from yet.
insert into stream_position (partition) values (%(partition)s) on conflict do nothing;

-- name: take_over
-- Whoever held this partition before is fenced out from here on.
update stream_position set fence = fence + 1, worker = %(worker)s
where partition = %(partition)s
returning stream, sequence, fence;

-- name: settle
-- Names the stream that a partition is read from, and where in it.
update stream_position
set stream = %(stream)s, sequence = %(sequence)s, needed = %(sequence)s, moved_at = clock_timestamp()
where partition = %(partition)s and fence = %(fence)s;

-- name: move
-- Compare-and-set of a partition's position; no row: another worker took over. Gives the instant of recording.
update stream_position set sequence = %(to)s, moved_at = clock_timestamp()
where partition = %(partition)s and fence = %(fence)s and stream = %(stream)s and sequence = %(from)s
returning moved_at;

-- name: need
-- From where on a partition needs the stream; no row: another worker took over.
update stream_position set needed = %(needed)s
where partition = %(partition)s and fence = %(fence)s and stream = %(stream)s;

-- name: places
-- How far each partition is stored, and from where it needs the stream.
select partition, stream, sequence, needed from stream_position;

-- name: batch_ids
-- Numbers for batches to come.
select nextval('batch_id_seq') from generate_series(1, %(count)s);

-- name: watch_ids
-- Numbers for watches to come.
select nextval('watch_id_seq') from generate_series(1, %(count)s);

-- name: copy_scan
-- Scans, as `copying.scan_rows` gives them.
copy scan (device, time, received, value, quality, batch) from stdin (format binary);

-- name: copy_odd_scan
-- Scans whose source time is far from now, where scans are a hypertable.
copy scan_other (device, time, received, value, quality, batch) from stdin (format binary);

-- name: copy_text
-- Texts, as `copying.text_rows` gives them.
copy reading_text (device, position, time, received, value, quality, batch) from stdin (format binary);

-- name: record
-- The batches of this transaction; the last one of each gateway; live watches that go on; minutes to roll up again. One
-- statement, for each costs this process more than what it does for a few rows.
with stored as (
    insert into batch (id, gateway, partition, epoch, sequence, stream_sequence, recorded_at, scans, readings, sha256, signature)
    select b.id, b.gateway, %(partition)s, b.epoch, b.sequence, b.stream_sequence, %(recorded_at)s, b.scans, b.readings,
           b.sha256, b.signature
    from unnest(%(id)s::bigint[], %(gateway)s::integer[], %(epoch)s::bigint[], %(sequence)s::bigint[],
                %(stream_sequence)s::bigint[], %(scans)s::integer[], %(readings)s::integer[], %(sha256)s::bytea[],
                %(signature)s::bytea[])
        as b (id, gateway, epoch, sequence, stream_sequence, scans, readings, sha256, signature)
), moved as (
    insert into gateway_position (gateway, partition, epoch, sequence, watched_until)
    select g.gateway, %(partition)s, g.epoch, g.sequence, g.watched_until
    from unnest(%(moved)s::integer[], %(to_epoch)s::bigint[], %(to_sequence)s::bigint[], %(watched_until)s::timestamptz[])
        as g (gateway, epoch, sequence, watched_until)
    on conflict (gateway, partition) do update
    set epoch = excluded.epoch, sequence = excluded.sequence, watched_until = excluded.watched_until
), grown as (
    update watch set valid_to = w.valid_to, recorded_to = %(recorded_at)s, ended = w.ended
    from unnest(%(watch)s::bigint[], %(valid_to)s::timestamptz[], %(ended)s::boolean[]) as w (id, valid_to, ended)
    where watch.id = w.id
), due as (
    insert into rollup_due (partition, stride, time, device, marked)
    select %(partition)s, %(stride)s, d.time, d.device, nextval('rollup_mark_seq')
    from unnest(%(time)s::timestamptz[], %(device)s::integer[]) as d (time, device)
    on conflict (time, partition, device, stride) do update set marked = excluded.marked
)
select;

-- name: gateway_positions
-- The last batch stored of each gateway of a partition.
select gateway, epoch, sequence, watched_until from gateway_position where partition = %(partition)s;

-- name: insert_watches
-- Watches that begin, or that came late.
insert into watch (id, span, enterprise, gateway, partition, epoch, valid_from, valid_to, recorded_from, recorded_to, live, ended)
select w.id, w.span, w.enterprise, w.gateway, %(partition)s, w.epoch, w.valid_from, w.valid_to, %(recorded_at)s,
       %(recorded_at)s, w.live, w.ended
from unnest(%(id)s::bigint[], %(span)s::bigint[], %(enterprise)s::integer[], %(gateway)s::integer[], %(epoch)s::bigint[],
            %(valid_from)s::timestamptz[], %(valid_to)s::timestamptz[], %(live)s::boolean[], %(ended)s::boolean[])
    as w (id, span, enterprise, gateway, epoch, valid_from, valid_to, live, ended);

-- name: newest_watches
-- The watch that each gateway of a partition may continue.
select newest.* from gateway_position p
cross join lateral (
    select w.gateway, w.id, w.span, w.epoch, w.valid_to, w.recorded_to, w.live, w.ended from watch w
    where w.gateway = p.gateway and w.partition = p.partition and w.valid_to = p.watched_until
    order by w.id desc limit 1
) newest
where p.partition = %(partition)s;

-- name: insert_presence
-- States that devices changed to.
insert into presence (device, enterprise, gateway, span, valid_from, state, reason, recorded_at)
select p.device, p.enterprise, p.gateway, p.span, p.valid_from, p.state, p.reason, %(recorded_at)s
from unnest(%(device)s::integer[], %(enterprise)s::integer[], %(gateway)s::integer[], %(span)s::bigint[],
            %(valid_from)s::timestamptz[], %(state)s::smallint[], %(reason)s::text[])
    as p (device, enterprise, gateway, span, valid_from, state, reason);

-- name: insert_gaps
-- What was never acquired, or was lost.
insert into gap (enterprise, gateway, partition, device, from_time, to_time, reason, polls, detail, recorded_at)
select g.enterprise, g.gateway, %(partition)s, g.device, g.from_time, g.to_time, g.reason, g.polls, g.detail, %(recorded_at)s
from unnest(%(enterprise)s::integer[], %(gateway)s::integer[], %(device)s::integer[], %(from_time)s::timestamptz[],
            %(to_time)s::timestamptz[], %(reason)s::text[], %(polls)s::bigint[], %(detail)s::jsonb[])
    as g (enterprise, gateway, device, from_time, to_time, reason, polls, detail);

-- name: insert_identities
-- What devices say they are, where it differs from what they said before.
insert into identity (enterprise, device, gateway, observed_at, origin, evidence, digest, recorded_at)
select i.enterprise, i.device, i.gateway, i.observed_at, i.origin, i.evidence, i.digest, %(recorded_at)s
from unnest(%(enterprise)s::integer[], %(device)s::integer[], %(gateway)s::integer[], %(observed_at)s::timestamptz[],
            %(origin)s::text[], %(evidence)s::jsonb[], %(digest)s::bytea[])
    as i (enterprise, device, gateway, observed_at, origin, evidence, digest);

-- name: insert_clocks
-- How devices' clocks differ from their gateway's, where that was measured anew.
insert into device_clock (enterprise, device, gateway, measured_at, clock_offset, accuracy, recorded_at)
select c.enterprise, c.device, c.gateway, c.measured_at, c.offset_us * interval '1 microsecond',
       c.accuracy_us * interval '1 microsecond', %(recorded_at)s
from unnest(%(enterprise)s::integer[], %(device)s::integer[], %(gateway)s::integer[], %(measured_at)s::timestamptz[],
            %(offset_us)s::bigint[], %(accuracy_us)s::bigint[])
    as c (enterprise, device, gateway, measured_at, offset_us, accuracy_us);

-- name: identities
-- The digest of what each device of a gateway said last.
select distinct on (device) device, digest from identity where gateway = %(gateway)s order by device, recorded_at desc, id desc;

-- name: close_session
-- The connection of a device that ended; all that are open are closed, though there should be one.
update session set closed_at = greatest(opened_at, %(closed_at)s), reason = %(reason)s, closed_recorded_at = %(recorded_at)s
where gateway = %(gateway)s and device = %(device)s and closed_at is null;

-- name: close_sessions_before
-- Connections of a gateway process that is gone.
update session set closed_at = greatest(opened_at, %(closed_at)s), reason = %(reason)s, closed_recorded_at = %(recorded_at)s
where gateway = %(gateway)s and device %% %(stride)s = %(partition)s and epoch < %(epoch)s and closed_at is null;

-- name: open_sessions
-- Connections that were opened, some of them ended already.
insert into session (enterprise, device, gateway, epoch, opened_at, closed_at, reason, recorded_at, closed_recorded_at)
select s.enterprise, s.device, s.gateway, s.epoch, s.opened_at, s.closed_at, s.reason, %(recorded_at)s,
       case when s.closed_at is not null then %(recorded_at)s::timestamptz end
from unnest(%(enterprise)s::integer[], %(device)s::integer[], %(gateway)s::integer[], %(epoch)s::bigint[],
            %(opened_at)s::timestamptz[], %(closed_at)s::timestamptz[], %(reason)s::text[])
    as s (enterprise, device, gateway, epoch, opened_at, closed_at, reason);

-- name: note_break
-- A break between database and stream, said once.
insert into gap (partition, from_time, to_time, reason, detail)
select partition, moved_at, clock_timestamp(), %(reason)s, %(detail)s
from stream_position
where partition = %(partition)s and not exists (
    select from gap where gap.partition = %(partition)s and reason = %(reason)s and detail = %(detail)s::jsonb and gateway is null
);

-- name: insert_device_minutes
-- What a minute of this partition held, or the part of it that one worker recorded.
insert into device_minutes (minute, partition, batches, devices, records, recorded_at)
values (%(minute)s, %(partition)s, %(batches)s, %(devices)s, %(records)s, %(recorded_at)s);

-- name: undigested
-- Batches that the stream still holds and no row of `device_minutes` names, in the stream's order.
select gateway, epoch, sequence, stream_sequence, id, recorded_at from batch
where partition = %(partition)s and stream_sequence >= %(first)s and not exists (
    select from device_minutes m
    where m.partition = batch.partition and m.minute = date_trunc('minute', batch.recorded_at) and batch.id = any (m.batches)
)
order by stream_sequence;

-- name: insert_quarantine
-- A batch that was refused.
insert into quarantine (enterprise, gateway, partition, stream_sequence, reason, detail, body, signature, recorded_at)
values (%(enterprise)s, %(gateway)s, %(partition)s, %(stream_sequence)s, %(reason)s, %(detail)s, %(body)s, %(signature)s,
        %(recorded_at)s)
returning id;

-- name: remember
-- Where a worker that takes over goes on.
insert into presence_memory (gateway, partition, stream, stream_sequence, epoch, sequence, recorded_at, body)
values (%(gateway)s, %(partition)s, %(stream)s, %(stream_sequence)s, %(epoch)s, %(sequence)s, %(recorded_at)s, %(body)s)
on conflict (gateway, partition) do update
set stream = excluded.stream, stream_sequence = excluded.stream_sequence, epoch = excluded.epoch,
    sequence = excluded.sequence, recorded_at = excluded.recorded_at, body = excluded.body;

-- name: forget
-- A gateway whose watch has ended is begun anew.
delete from presence_memory where gateway = %(gateway)s and partition = %(partition)s;

-- name: memories
-- Where the worker before left each gateway of a partition.
select gateway, stream, stream_sequence, epoch, sequence, body from presence_memory
where partition = %(partition)s;

-- name: batches_since
-- The batches of the stream that were stored after a place in it.
select stream_sequence from batch
where partition = %(partition)s and stream_sequence > %(sequence)s;

-- name: quarantined
-- Refused batches without their bodies, newest first.
select id, recorded_at, gateway, partition, stream_sequence, reason, detail, octet_length(body), replayed_at, replayed_batch
from quarantine
where %(before)s::bigint is null or id < %(before)s
order by id desc
limit %(limit)s;

-- name: quarantined_one
-- One refused batch, held against a second replay.
select gateway, partition, body, signature, replayed_batch from quarantine where id = %(id)s for update;

-- name: batch_named
-- The batch of this name, if it is stored.
select id from batch
where gateway = %(gateway)s and partition = %(partition)s and epoch = %(epoch)s and sequence = %(sequence)s;

-- name: replayed
-- A refused batch that was stored after all.
update quarantine set replayed_at = %(recorded_at)s, replayed_batch = %(batch)s where id = %(id)s;
