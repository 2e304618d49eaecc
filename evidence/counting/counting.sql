-- The bitemporal questions behind every count. `at` is the asked instant, `known` the instant as of which it is
-- answered; both inclusive. The rules of watching stand in coverage.py as well, for windows.

-- name: frame
-- Every device registered at an instant, and what it had said it is as known at another: one row for all that are alike,
-- with what tells them apart in one order: records of number and gateway, codes, names. Each enterprise's newest checkpoint known by then, and with
-- `touched` the devices of which something was written after it: those rows say everything about their devices.
with last as materialized (
    select enterprise.id, enterprise.code, coalesce(c.at, '-infinity') as at
    from enterprise
    left join lateral (
        select c.at from frame_checkpoint c
        where c.enterprise = enterprise.id and c.at <= %(at)s and c.recorded_to <= %(known)s
        order by c.at desc limit 1
    ) c on %(devices)s::integer[] is null
    where %(enterprises)s::integer[] is null or enterprise.id = any (%(enterprises)s)
),
touched as materialized (
    select last.code, changed.device from last
    cross join lateral (
        select h.device from device_history h
        where h.enterprise = last.id and h.recorded_at > last.at and h.recorded_at <= %(at)s
          and %(devices)s::integer[] is null
        union
        select i.device from identity i
        where i.enterprise = last.id and i.observed_at > last.at and i.observed_at <= %(at)s
          and i.recorded_at <= %(known)s and %(devices)s::integer[] is null
        union
        select device.id from device where device.enterprise = last.id and device.id = any (%(devices)s)
    ) changed
)
select true as touched, touched.code as enterprise, book.enterprise as enterprise_number, book.industry,
       book.device_class, book.consumes_energy, book.protocol, book.origin as ledger_origin,
       said.origin as identity_origin, book.retired,
       string_agg(int4send(book.device) || int4send(coalesce(book.gateway, 0)), ''), json_agg(book.code), json_agg(book.name)
from touched
cross join lateral (
    select * from device_history h
    where h.device = touched.device and h.recorded_at <= %(at)s
    order by h.recorded_at desc, h.version desc limit 1
) book
left join lateral (
    select i.origin from identity i
    where i.device = touched.device and i.observed_at <= %(at)s and i.recorded_at <= %(known)s
    order by i.observed_at desc, i.recorded_at desc, i.id desc limit 1
) said on true
group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
union all
select false, last.code, last.id, g.industry, g.device_class, g.consumes_energy, g.protocol, g.ledger_origin,
       g.identity_origin, false, g.records, g.codes, g.names
from last
cross join lateral (
    select * from frame_group g where g.enterprise = last.id and g.at = last.at offset 0
) g;

-- name: seen
-- The presence of the devices at some seats (gateway, partition, enterprise). A row by place of the seat for each that was
-- watched: the newest checkpoint of its span known by then, if there is one. And rows without a seat for what was seen
-- after these, as records with the place of the seat (4 bytes) in front and without a reason at the end: all in such a row
-- have the same. A state ends the one before it, so what was seen later in the span goes before the checkpoint.
with seat as materialized (
    select * from unnest(%(gateway)s::integer[], %(partition)s::integer[], %(enterprise)s::integer[])
        with ordinality as seat (gateway, partition, enterprise, number)
),
watched as materialized (
    select place.gateway, place.partition, covering.span
    from (select distinct gateway, partition from seat) place
    cross join lateral (
        select w.span from watch w
        where w.gateway = place.gateway and w.partition = place.partition
          and w.valid_from <= %(at)s and w.recorded_from <= %(known)s
          and (%(at)s <= w.valid_to
               or (w.live and %(known)s <= w.recorded_to + %(lease)s
                   and (not w.ended or %(known)s < w.recorded_to)))
        order by w.valid_from desc, w.recorded_from desc, w.id desc
        limit 1
    ) covering
),
saved as materialized (
    select seat.number::integer, seat.enterprise, watched.span, coalesce(c.at, '-infinity') as at, c.records, c.reasons
    from seat
    join watched on watched.gateway = seat.gateway and watched.partition = seat.partition
    left join lateral (
        select * from presence_checkpoint c
        where c.span = watched.span and c.enterprise = seat.enterprise and c.at <= %(at)s and c.recorded_to <= %(known)s
        order by c.at desc limit 1
    ) c on true
),
newer as (
    select distinct on (saved.number, p.device) saved.number, p.device, p.valid_from, p.state, p.reason
    from saved
    cross join lateral (
        select p.device, p.valid_from, p.recorded_at, p.state, p.reason from presence p
        where p.span = saved.span and p.enterprise = saved.enterprise
          and p.valid_from > saved.at and p.valid_from <= %(at)s and p.recorded_at <= %(known)s
        offset 0
    ) p
    order by saved.number, p.device, p.valid_from desc, p.recorded_at desc, p.state desc
)
select number, records, reasons from saved
union all
select null, string_agg(int4send(number) || int4send(device) || timestamptz_send(valid_from) || int2send(state), ''),
       array[reason]
from newer group by reason;

-- name: watches
-- The watch rows that may cover a part of a window, as known at an instant.
select w.id, w.span, w.gateway, w.partition, w.valid_from, w.valid_to, w.recorded_from, w.recorded_to, w.live, w.ended
from watch w
where w.valid_from < %(to)s and w.recorded_from <= %(known)s
  and (w.valid_to >= %(from)s or (w.live and w.recorded_to + %(lease)s >= %(known)s))
  and (%(gateway)s::integer is null or w.gateway = %(gateway)s);

-- name: stretches
-- What happened to every device in [from, to), as arrays of equal length, so that no row costs the reader anything.
-- flags: the state, + 8 when the origin is real, + 16 when it consumes energy, + 32 when somebody watched. Without 32:
-- the device belonged to the frame, and neither the ledger nor what it says it is changed. With 32, within these:
-- somebody watched it until `to_time`, and from `from_time` on it was in the state, until the next entry of the same
-- device and `to_time`. The parameters `cover_…` are the disjoint covers of coverage.py.
with cover as materialized (
    select * from unnest(
        %(cover_gateway)s::integer[], %(cover_partition)s::integer[], %(cover_span)s::bigint[],
        %(cover_from)s::timestamptz[], %(cover_to)s::timestamptz[]
    ) as c (gateway, partition, span, from_time, to_time)
),
change as (
    select device.id as device, %(from)s::timestamptz as at from device
    where (%(enterprises)s::integer[] is null or device.enterprise = any (%(enterprises)s))
      and (%(devices)s::integer[] is null or device.id = any (%(devices)s))
    union
    select h.device, h.recorded_at from device_history h
    where h.recorded_at > %(from)s and h.recorded_at < %(to)s
      and (%(enterprises)s::integer[] is null or h.enterprise = any (%(enterprises)s))
      and (%(devices)s::integer[] is null or h.device = any (%(devices)s))
    union
    select i.device, i.observed_at from identity i
    where i.observed_at > %(from)s and i.observed_at < %(to)s and i.recorded_at <= %(known)s
      and (%(enterprises)s::integer[] is null or i.enterprise = any (%(enterprises)s))
      and (%(devices)s::integer[] is null or i.device = any (%(devices)s))
),
spell as (
    select device, at as from_time, lead(at, 1, %(to)s) over (partition by device order by at) as to_time
    from change
),
era as materialized (
    select spell.device, spell.from_time, spell.to_time, book.gateway, book.consumes_energy,
           book.consumes_energy and book.origin = 'real' and coalesce(said.origin, 'real') = 'real' as official,
           spell.device %% %(partitions)s as partition
    from spell
    cross join lateral (
        select * from device_history h
        where h.device = spell.device and h.recorded_at <= spell.from_time
        order by h.recorded_at desc, h.version desc
        limit 1
    ) book
    left join lateral (
        select i.origin from identity i
        where i.device = spell.device and i.observed_at <= spell.from_time and i.recorded_at <= %(known)s
        order by i.observed_at desc, i.recorded_at desc, i.id desc
        limit 1
    ) said on true
    where not book.retired and (%(industry)s::text is null or book.industry = %(industry)s)
),
piece as materialized (
    select era.device, era.official, era.consumes_energy, cover.span,
           greatest(era.from_time, cover.from_time) as from_time, least(era.to_time, cover.to_time) as to_time
    from era
    join cover on cover.gateway = era.gateway and cover.partition = era.partition
              and cover.from_time < era.to_time and era.from_time < cover.to_time
)
select array_agg(device) as device, array_agg(from_time) as from_time, array_agg(to_time) as to_time, array_agg(flags) as flags
from (
    select device, from_time, to_time, (official::integer * 8 + consumes_energy::integer * 16)::smallint as flags
    from era
    union all
    select piece.device, greatest(p.valid_from, piece.from_time), piece.to_time,
           (p.state + piece.official::integer * 8 + piece.consumes_energy::integer * 16 + 32)::smallint
    from piece
    cross join lateral (
        (select s.valid_from, s.state from presence s
         where s.device = piece.device and s.span = piece.span
           and s.valid_from <= piece.from_time and s.recorded_at <= %(known)s
         order by s.valid_from desc, s.recorded_at desc, s.state desc
         limit 1)
        union all
        (select s.valid_from, s.state from presence s
         where s.device = piece.device and s.span = piece.span
           and s.valid_from > piece.from_time and s.valid_from < piece.to_time and s.recorded_at <= %(known)s)
    ) p
) found;

-- name: device_presence
-- What is known of one device's states in the covers that are given, each with the instant it was recorded.
select cover.from_time as cover_from, cover.to_time as cover_to, p.valid_from, p.state, p.reason, p.recorded_at
from unnest(%(cover_span)s::bigint[], %(cover_from)s::timestamptz[], %(cover_to)s::timestamptz[])
     as cover (span, from_time, to_time)
left join lateral (
    (select s.valid_from, s.recorded_at, s.state, s.reason from presence s
     where s.device = %(device)s and s.span = cover.span
       and s.valid_from <= cover.from_time and s.recorded_at <= %(known)s
     order by s.valid_from desc, s.recorded_at desc, s.state desc
     limit 1)
    union all
    (select s.valid_from, s.recorded_at, s.state, s.reason from presence s
     where s.device = %(device)s and s.span = cover.span
       and s.valid_from > cover.from_time and s.valid_from < cover.to_time and s.recorded_at <= %(known)s)
) p on true
order by cover.from_time, p.valid_from, p.recorded_at, p.state;

-- name: seats
-- Since when a device sat at which gateway, and whether it was retired: one row per change of the ledger before `to`.
select h.recorded_at, h.gateway, h.retired
from device_history h
where h.device = %(device)s and h.recorded_at < %(to)s
order by h.recorded_at, h.version;
