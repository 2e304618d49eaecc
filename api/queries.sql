-- What the API asks of the database, besides the counting of evidence/counting. Row-level security limits every
-- statement to what its transaction has entered; `enter` comes first.

-- name: enter
-- Limits the transaction to a scope and a time, and gives the database's clock. Row security hides from the planner
-- how many rows there are (it guesses a few); these settings keep it to hash joins and to indexes in their order.
select clock_timestamp()
from (select set_config('muster.enterprise', %(scope)s, true), set_config('statement_timeout', %(timeout)s, true),
             set_config('jit', 'off', true), set_config('enable_nestloop', 'off', true),
             set_config('enable_bitmapscan', 'off', true)) entered;

-- name: token
-- A token in force, by its SHA-256.
select id, enterprise, enterprise_code, label, may_write from api_token_of(%(digest)s);

-- name: enterprise_number
-- An enterprise's number by its code.
select id from enterprise where code = %(code)s;

-- name: enterprises
-- Every enterprise with its places; devices are those not retired.
select e.id, e.code, e.name, e.industry, coalesce(d.devices, 0) as devices, coalesce(s.sites, '[]') as sites
from enterprise e
left join (
    select enterprise, count(*) as devices from device where retired_at is null group by enterprise
) d on d.enterprise = e.id
left join (
    select site.enterprise, jsonb_agg(
        jsonb_build_object('code', site.code, 'name', site.name, 'devices', coalesce(here.devices, 0)) order by site.code
    ) as sites
    from site
    left join (select site, count(*) as devices from device where retired_at is null group by site) here
        on here.site = site.id
    group by site.enterprise
) s on s.enterprise = e.id
order by e.code;

-- name: device_page
-- Registered devices in the order of their numbers, within the filters; `after` is the last of the page before.
select d.id, d.code, d.name, e.code as enterprise, s.code as site, g.code as gateway, d.device_class, d.industry, d.kind,
       d.protocol, d.origin as ledger_origin, said.origin as identity_origin, d.retired_at
from device d
join enterprise e on e.id = d.enterprise
left join site s on s.id = d.site
left join gateway g on g.id = coalesce(d.held_by, d.gateway)
left join lateral (
    select i.origin from identity i where i.device = d.id
    order by i.observed_at desc, i.recorded_at desc, i.id desc limit 1
) said on true
where d.id > %(after)s
  and (%(devices)s::integer[] is null or d.id = any (%(devices)s))
  and (%(enterprise)s::text is null or e.code = %(enterprise)s)
  and (%(site)s::text is null or s.code = %(site)s)
  and (%(gateway)s::text is null or g.code = %(gateway)s)
  and (%(protocol)s::text[] is null or d.protocol = any (%(protocol)s))
  and (%(device_class)s::text is null or d.device_class = %(device_class)s)
  and (%(industry)s::text is null or d.industry = %(industry)s)
  and (%(q)s::text is null or d.code ilike %(q)s or d.name ilike %(q)s or d.serial_number ilike %(q)s)
  and (d.retired_at is not null) = %(retired)s
  and (%(origin)s::text is null or %(origin)s = (
      select word from unnest(array['real', 'unknown', 'replayed', 'simulated']) with ordinality as o (word, rank)
      where word in (d.origin, said.origin) order by rank desc limit 1
  ))
order by d.id
limit %(limit)s;

-- name: device
-- Everything registered about one device, with what it last said it is.
select d.id, d.code, d.name, e.code as enterprise, s.code as site, g.code as gateway, g.id as gateway_number,
       d.device_class, d.industry, d.kind, d.protocol, d.origin as ledger_origin, m.code as device_model, d.equipment,
       d.consumes_energy, d.report_mode, d.interval_s, d.shift_pattern, d.manufacturer, d.model, d.serial_number,
       d.commissioned_on, d.connection, d.endpoint, d.version, d.created_at, d.retired_at,
       said.observed_at, said.recorded_at, said.origin as identity_origin, said.evidence,
       clock.measured_at, extract(epoch from clock.clock_offset)::float8 as offset_s,
       extract(epoch from clock.accuracy)::float8 as accuracy_s
from device d
join enterprise e on e.id = d.enterprise
left join site s on s.id = d.site
left join gateway g on g.id = coalesce(d.held_by, d.gateway)
left join device_model m on m.id = d.device_model
left join lateral (
    select i.observed_at, i.recorded_at, i.origin, i.evidence from identity i where i.device = d.id
    order by i.observed_at desc, i.recorded_at desc, i.id desc limit 1
) said on true
left join lateral (
    select c.measured_at, c.clock_offset, c.accuracy from device_clock c where c.device = d.id
    order by c.measured_at desc, c.id desc limit 1
) clock on true
where d.id = %(device)s;

-- name: tags
-- Every tag a device ever had, by position.
select position, name, label, type, address, unit, scale, "offset", writable, low, high, retired_at is not null as retired
from tag where device = %(device)s order by position;

-- name: attestations
-- Who said that a device is a real machine.
select serial_number, attested_by, attested_on, recorded_at, encode(nameplate_sha256, 'hex') as nameplate_sha256
from attestation where device = %(device)s order by recorded_at, id;

-- name: latest
-- The newest reading of every tag in use, numeric or text.
select tag.position, tag.name as tag, tag.label, tag.unit, n.value, t.value as text,
       case when t.time > n.time or n.time is null then t.quality else n.quality end as quality,
       greatest(n.time, t.time) as time, case when t.time > n.time or n.time is null then t.received else n.received end as received,
       t.time is not null and (n.time is null or t.time > n.time) as textual
from tag
left join latest_reading n on n.device = tag.device and n.position = tag.position
left join latest_text t on t.device = tag.device and t.position = tag.position
where tag.device = %(device)s and tag.retired_at is null
order by tag.position;

-- name: readings
-- Raw readings of a tag, numeric and text, in source time; `after` is the key of the last of the page before.
select time, received, value, text, quality from (
    (select time, received, value, null::text as text, quality, batch from reading
     where device = %(device)s and tag = %(tag)s and time >= greatest(%(from)s, %(after_time)s) and time < %(to)s
       and (%(after_time)s::timestamptz is null or (time, received) > (%(after_time)s, %(after_received)s))
     order by time, received
     limit %(limit)s)
    union all
    (select time, received, null, value, quality, batch from text_reading
     where device = %(device)s and tag = %(tag)s and time >= greatest(%(from)s, %(after_time)s) and time < %(to)s
       and (%(after_time)s::timestamptz is null or (time, received) > (%(after_time)s, %(after_received)s))
     order by time, received
     limit %(limit)s)
) found
order by time, received
limit %(limit)s;

-- name: rollup_minutes
-- One-minute roll-ups of a tag.
select time, count, good, min, max, mean, last from rollup
where device = %(device)s and tag = %(tag)s and time >= greatest(%(from)s, %(after_time)s) and time < %(to)s
  and (%(after_time)s::timestamptz is null or time > %(after_time)s)
order by time
limit %(limit)s;

-- name: rollup_hours
-- One-hour roll-ups of a tag.
select time, count, good, min, max, mean, last from rollup_hourly
where device = %(device)s and tag = %(tag)s and time >= greatest(%(from)s, %(after_time)s) and time < %(to)s
  and (%(after_time)s::timestamptz is null or time > %(after_time)s)
order by time
limit %(limit)s;

-- name: gaps
-- Gaps that touch a span, the newest first; a device's are its own and those of its whole gateway and partition.
select gap.id, e.code as enterprise, g.code as gateway, gap.partition, gap.device, gap.from_time, gap.to_time, gap.reason,
       gap.polls, gap.detail, gap.recorded_at
from gap
left join enterprise e on e.id = gap.enterprise
left join gateway g on g.id = gap.gateway
where (%(from)s::timestamptz is null or gap.to_time >= %(from)s)
  and (%(to)s::timestamptz is null or gap.from_time < %(to)s)
  and (%(device)s::integer is null or gap.device = %(device)s or (
      gap.device is null and gap.gateway in (select h.gateway from device_history h where h.device = %(device)s)
      and (gap.partition is null or gap.partition = %(partition)s)
  ))
  and (%(gateway)s::text is null or g.code = %(gateway)s)
  and (%(reason)s::text is null or gap.reason = %(reason)s)
  and (%(enterprise)s::text is null or e.code = %(enterprise)s)
  and (%(after_time)s::timestamptz is null or (gap.from_time, gap.id) < (%(after_time)s, %(after_id)s))
order by gap.from_time desc, gap.id desc
limit %(limit)s;

-- name: gateways
-- Every gateway with its newest watch per partition: whether anybody believes that it watches now.
select g.id, g.code, g.name, e.code as enterprise, coalesce(d.devices, 0) as devices, coalesce(k.keys, 0) as keys,
       head.code as member_of, coalesce(d.pinned, 0) as pinned, d.held_since,
       w.watched_until, w.last_recorded, w.lag_s, w.watching, w.stopped, p.epoch, coalesce(p.partitions, '[]') as partitions
from gateway g
left join enterprise e on e.id = g.enterprise
left join (
    select coalesce(held_by, gateway) as gateway, count(*) as devices, count(pinned_to) as pinned,
           max(held_since) as held_since
    from device where retired_at is null group by 1
) d on d.gateway = g.id
left join gateway head on head.id = g.member_of
left join (select gateway, count(*) as keys from gateway_key where revoked_at is null group by gateway) k on k.gateway = g.id
left join (
    select gateway, max(epoch) as epoch, jsonb_agg(jsonb_build_object(
        'partition', partition, 'epoch', epoch, 'sequence', sequence, 'watched_until', watched_until
    ) order by partition) as partitions
    from gateway_position group by gateway
) p on p.gateway = g.id
left join lateral (
    select max(newest.valid_to) as watched_until, max(newest.recorded_to) as last_recorded,
           max(extract(epoch from newest.recorded_to - newest.valid_to))::float8 as lag_s,
           bool_or(newest.live and not newest.ended and newest.recorded_to + %(lease)s >= clock_timestamp()) as watching,
           bool_and(newest.ended) as stopped
    from generate_series(0, %(partitions)s - 1) as partition
    cross join lateral (
        select * from watch where watch.gateway = g.id and watch.partition = partition.partition
        order by watch.id desc limit 1
    ) newest
) w on true
order by g.code;

-- name: gateway
-- A gateway and the number of the enterprise that it belongs to; null: the operator's.
select id, code, enterprise from gateway where id = %(gateway)s;

-- name: quarantine
-- Messages that were refused, the newest first.
select q.id, e.code as enterprise, g.code as gateway, q.partition, q.stream_sequence, q.reason, q.detail,
       length(q.body) as bytes, q.recorded_at, q.replayed_at
from quarantine q
left join enterprise e on e.id = q.enterprise
left join gateway g on g.id = q.gateway
where %(after_time)s::timestamptz is null or (q.recorded_at, q.id) < (%(after_time)s, %(after_id)s)
order by q.recorded_at desc, q.id desc
limit %(limit)s;

-- name: newest_receipts
-- When each device's newest scan was received.
select device, received from latest_scan;

-- name: recent_receipts
-- When the newest scan of each device within the last minutes was received.
select d.id as device, s.received
from device d
cross join lateral (
    select received from device_scan
    where device_scan.device = d.id and time > now() - interval '2 minutes' and time < now() + interval '1 day'
    order by time desc limit 1
) s;

-- name: device_enterprises
-- Which enterprise each device belongs to.
select id as device, enterprise from device;
