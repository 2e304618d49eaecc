-- name: enter
select set_config('muster.enterprise', %(scope)s, true)

-- name: lock
-- One change of the book at a time in the whole installation: "muster book" as a number.
select pg_advisory_xact_lock(7238816391012)

-- name: scope_code
select code from enterprise where id = %(scope)s

-- name: enterprises
select code, name, industry from enterprise
where %(scope)s::integer is null or id = %(scope)s
order by id

-- name: sites
select enterprise.code as enterprise, site.code, site.name
from site join enterprise on enterprise.id = site.enterprise
where %(scope)s::integer is null or site.enterprise = %(scope)s
order by site.id

-- name: gateways
select gateway.code, gateway.name, enterprise.code as enterprise,
       array(select public_key from gateway_key where gateway = gateway.id and revoked_at is null order by enrolled_at) as keys
from gateway left join enterprise on enterprise.id = gateway.enterprise
where %(scope)s::integer is null or coalesce(gateway.enterprise, %(scope)s) = %(scope)s
order by gateway.id

-- name: revoked_keys
select gateway.code, gateway_key.public_key
from gateway_key join gateway on gateway.id = gateway_key.gateway
where gateway_key.revoked_at is not null

-- name: models
select m.code, m.name, enterprise.code as enterprise, m.protocol, m.device_class, m.kind, m.report_mode,
       m.interval_s, m.tags
from device_model m left join enterprise on enterprise.id = m.enterprise
where %(scope)s::integer is null or coalesce(m.enterprise, %(scope)s) = %(scope)s
order by m.id

-- name: devices
-- Of each code the one in use, or else the last retired.
select distinct on (d.enterprise, d.code)
       d.id as number, enterprise.code as enterprise, site.code as site, gateway.code as gateway,
       m.code as model, d.code, d.name, d.device_class, d.industry, d.kind, d.equipment, d.consumes_energy,
       d.report_mode, d.interval_s, d.shift_pattern, d.manufacturer, d.model as model_number, d.serial_number,
       d.commissioned_on::text as commissioned_on, d.origin, d.protocol, d.connection, d.endpoint,
       d.retired_at is not null as retired
from device d
join enterprise on enterprise.id = d.enterprise
left join site on site.id = d.site
left join gateway on gateway.id = d.gateway
left join device_model m on m.id = d.device_model
where %(scope)s::integer is null or d.enterprise = %(scope)s
order by d.enterprise, d.code, d.retired_at desc nulls first, d.id desc

-- name: attestations
select device, serial_number, nameplate_sha256, attested_by, attested_on::text as attested_on
from attestation
where %(scope)s::integer is null or enterprise = %(scope)s
order by id

-- name: codes_taken
select codes_taken(%(relation)s, %(codes)s)

-- name: put_enterprises
insert into enterprise (code, name, industry)
select code, name, industry from jsonb_to_recordset(%(rows)s::jsonb) as w(code text, name text, industry text)
on conflict (code) do update set name = excluded.name, industry = excluded.industry

-- name: put_sites
insert into site (enterprise, code, name)
select enterprise.id, w.code, w.name
from jsonb_to_recordset(%(rows)s::jsonb) as w(enterprise text, code text, name text)
join enterprise on enterprise.code = w.enterprise
on conflict (enterprise, code) do update set name = excluded.name

-- name: put_gateways
insert into gateway (enterprise, code, name)
select enterprise.id, w.code, w.name
from jsonb_to_recordset(%(rows)s::jsonb) as w(enterprise text, code text, name text)
left join enterprise on enterprise.code = w.enterprise
on conflict (code) do update set enterprise = excluded.enterprise, name = excluded.name

-- name: put_key
-- A key that was revoked stays revoked; the check says so.
insert into gateway_key (gateway, public_key)
select id, %(key)s from gateway where code = %(gateway)s
on conflict (gateway, public_key) do nothing

-- name: revoke_key
update gateway_key set revoked_at = clock_timestamp()
where gateway = (select id from gateway where code = %(gateway)s) and public_key = %(key)s and revoked_at is null

-- name: put_models
insert into device_model (enterprise, code, name, protocol, device_class, kind, report_mode, interval_s, tags)
select enterprise.id, w.code, w.name, w.protocol, w.device_class, w.kind, w.report_mode, w.interval_s, w.tags
from jsonb_to_recordset(%(rows)s::jsonb) as w(
    enterprise text, code text, name text, protocol text, device_class text, kind text, report_mode text,
    interval_s double precision, tags jsonb)
left join enterprise on enterprise.code = w.enterprise
on conflict (code) do update set
    enterprise = excluded.enterprise, name = excluded.name, protocol = excluded.protocol,
    device_class = excluded.device_class, kind = excluded.kind, report_mode = excluded.report_mode,
    interval_s = excluded.interval_s, tags = excluded.tags

-- name: add_devices
-- Numbers follow the order of the document. Real is not yet real: its attestation comes first.
insert into device (
    enterprise, site, gateway, device_model, code, name, device_class, industry, kind, equipment,
    consumes_energy, report_mode, interval_s, shift_pattern, manufacturer, model, serial_number,
    commissioned_on, origin, protocol, connection, endpoint)
select enterprise.id, site.id, gateway.id, m.id, w.code, w.name, w.device_class, w.industry, w.kind, w.equipment,
       w.consumes_energy, w.report_mode, w.interval_s, w.shift_pattern, w.manufacturer, w.model_number,
       w.serial_number, w.commissioned_on, case w.origin when 'real' then 'unknown' else w.origin end, w.protocol,
       w.connection, w.endpoint
from rows from (jsonb_to_recordset(%(rows)s::jsonb) as (
    enterprise text, site text, gateway text, model text, code text, name text, device_class text, industry text,
    kind text, equipment text, consumes_energy boolean, report_mode text, interval_s double precision,
    shift_pattern jsonb, manufacturer text, model_number text, serial_number text, commissioned_on date,
    origin text, protocol text, connection jsonb, endpoint text)) with ordinality as w(
    enterprise, site, gateway, model, code, name, device_class, industry, kind, equipment, consumes_energy,
    report_mode, interval_s, shift_pattern, manufacturer, model_number, serial_number, commissioned_on, origin,
    protocol, connection, endpoint, place)
join enterprise on enterprise.code = w.enterprise
join device_model m on m.code = w.model
left join site on site.enterprise = enterprise.id and site.code = w.site
left join gateway on gateway.code = w.gateway
order by w.place
returning id

-- name: change_devices
update device set
    site = w.site, gateway = w.gateway, device_model = w.model, code = w.code, name = w.name,
    device_class = w.device_class, industry = w.industry, kind = w.kind, equipment = w.equipment,
    consumes_energy = w.consumes_energy, report_mode = w.report_mode, interval_s = w.interval_s,
    shift_pattern = w.shift_pattern, manufacturer = w.manufacturer, model = w.model_number,
    serial_number = w.serial_number, commissioned_on = w.commissioned_on, origin = w.origin,
    protocol = w.protocol, connection = w.connection, endpoint = w.endpoint, retired_at = null
from (
    select w.number, site.id as site, gateway.id as gateway, m.id as model, w.code, w.name, w.device_class,
           w.industry, w.kind, w.equipment, w.consumes_energy, w.report_mode, w.interval_s, w.shift_pattern,
           w.manufacturer, w.model_number, w.serial_number, w.commissioned_on, w.origin, w.protocol,
           w.connection, w.endpoint
    from jsonb_to_recordset(%(rows)s::jsonb) as w(
        number integer, enterprise text, site text, gateway text, model text, code text, name text,
        device_class text, industry text, kind text, equipment text, consumes_energy boolean, report_mode text,
        interval_s double precision, shift_pattern jsonb, manufacturer text, model_number text,
        serial_number text, commissioned_on date, origin text, protocol text, connection jsonb, endpoint text)
    join enterprise on enterprise.code = w.enterprise
    join device_model m on m.code = w.model
    left join site on site.enterprise = enterprise.id and site.code = w.site
    left join gateway on gateway.code = w.gateway
) w
where device.id = w.number

-- name: add_attestation
insert into attestation (
    enterprise, device, serial_number, nameplate, nameplate_sha256, attested_by, attested_on)
select device.enterprise, device.id, %(serial_number)s,
       coalesce(%(nameplate)s, (
           select nameplate from attestation
           where device = device.id and nameplate_sha256 = %(nameplate_sha256)s limit 1)),
       %(nameplate_sha256)s, %(attested_by)s, %(attested_on)s
from device where device.id = %(device)s

-- name: make_real
update device set origin = 'real' where id = any(%(devices)s) and origin <> 'real'

-- name: retire_devices
update device set retired_at = clock_timestamp() where id = any(%(devices)s) and retired_at is null

-- name: retire_tags
-- A tag whose meaning (name, type, unit, address) its device's model no longer holds.
update tag set retired_at = clock_timestamp()
from device join device_model m on m.id = device.device_model
where device.id = any(%(devices)s) and tag.device = device.id and tag.retired_at is null and not exists (
    select from jsonb_to_recordset(m.tags) as w(name text, type text, unit text, address jsonb)
    where (w.name, w.type, w.unit, w.address) = (tag.name, tag.type, tag.unit, tag.address))

-- name: keep_tags
-- A tag of the same meaning keeps its position, also when it had been retired; the rest of it follows the model.
update tag set
    label = w.label, scale = w.scale, "offset" = w."offset", writable = w.writable, low = w.low, high = w.high,
    retired_at = null
from device join device_model m on m.id = device.device_model
cross join lateral jsonb_to_recordset(m.tags) as w(
    name text, label text, type text, address jsonb, unit text, scale double precision,
    "offset" double precision, writable boolean, low double precision, high double precision)
where device.id = any(%(devices)s) and tag.device = device.id
  and (w.name, w.type, w.unit, w.address) = (tag.name, tag.type, tag.unit, tag.address)
  and (tag.retired_at, tag.label, tag.scale, tag."offset", tag.writable, tag.low, tag.high)
      is distinct from (null, w.label, w.scale, w."offset", w.writable, w.low, w.high)

-- name: first_tags
-- The tags of new devices: nothing to look for in what they had, so the statement is as fast with a million tags.
insert into tag (device, position, enterprise, name, label, type, address, unit, scale, "offset", writable, low, high)
select device.id, w.position, device.enterprise, w.name, w.label, w.type, w.address, w.unit, w.scale, w."offset",
       w.writable, w.low, w.high
from device join device_model m on m.id = device.device_model
cross join lateral rows from (jsonb_to_recordset(m.tags) as (
    name text, label text, type text, address jsonb, unit text, scale double precision,
    "offset" double precision, writable boolean, low double precision, high double precision))
    with ordinality as w(name, label, type, address, unit, scale, "offset", writable, low, high, position)
where device.id = any(%(devices)s)

-- name: add_tags
-- A new meaning gets the position after all that the device ever had.
insert into tag (device, position, enterprise, name, label, type, address, unit, scale, "offset", writable, low, high)
select device.id,
       coalesce((select max(position) from tag where tag.device = device.id), 0)
           + row_number() over (partition by device.id order by w.place),
       device.enterprise, w.name, w.label, w.type, w.address, w.unit, w.scale, w."offset", w.writable, w.low, w.high
from device join device_model m on m.id = device.device_model
cross join lateral rows from (jsonb_to_recordset(m.tags) as (
    name text, label text, type text, address jsonb, unit text, scale double precision,
    "offset" double precision, writable boolean, low double precision, high double precision))
    with ordinality as w(name, label, type, address, unit, scale, "offset", writable, low, high, place)
where device.id = any(%(devices)s) and not exists (
    select from tag
    where tag.device = device.id and (w.name, w.type, w.unit, w.address) = (tag.name, tag.type, tag.unit, tag.address))

-- name: record_change
insert into book_change (enterprise, actor, action, source, sha256, counts)
values (%(scope)s, %(actor)s, %(action)s, %(source)s, %(sha256)s, %(counts)s)

-- name: device_present
select device.id from device join enterprise on enterprise.id = device.enterprise
where enterprise.code = %(enterprise)s and device.code = %(code)s and device.retired_at is null

-- name: retire_device
update device set retired_at = clock_timestamp()
from enterprise
where enterprise.id = device.enterprise and enterprise.code = %(enterprise)s and device.code = %(code)s
  and device.retired_at is null

-- name: documents
-- What gateways must be told: each device in use that has a gateway, with its tags in use.
select coalesce(device.held_by, device.gateway), device.id, device.version, device.code, device.name, device.enterprise, device.protocol,
       device.connection::text, device.report_mode, device.interval_s,
       coalesce((
           select json_agg(json_build_object(
               'position', position, 'name', name, 'type', type, 'address', address, 'unit', unit, 'scale', scale,
               'offset', "offset", 'writable', writable, 'low', low, 'high', high) order by position)
           from tag where tag.device = device.id and tag.retired_at is null), '[]')::text as tags,
       device.held_term, (extract(epoch from device.free_since) * 1000000)::bigint
from device
where device.id = any(%(devices)s) and device.gateway is not null and device.retired_at is null
  and (device.held_by is not null or not exists (select from gateway m where m.member_of = device.gateway))

-- name: documents_expected
select id from device
where gateway is not null and retired_at is null
  and (held_by is not null or not exists (select from gateway m where m.member_of = device.gateway))
order by id

-- name: members
-- Every process that shares another gateway's devices, with that gateway.
select id, member_of from gateway where member_of is not null order by member_of, id

-- name: seats
-- The devices of a gateway of several processes, and who holds each under which lease.
select id, protocol, connection, pinned_to, held_by, held_term from device
where gateway = %(gateway)s and retired_at is null
order by id

-- name: seat
-- Gives devices to holders, unless somebody else did meanwhile. When the holder before never watched a device, nobody
-- watched since the one before that.
update device set held_by = w.holder, held_term = w.term, held_since = clock_timestamp(),
    free_since = case
        when device.held_by is null then null
        when before.watched_until > device.held_since then before.watched_until
        else coalesce(device.free_since, device.held_since)
    end
from jsonb_to_recordset(%(rows)s::jsonb) as w(device integer, holder integer, term bigint, was integer, was_term bigint)
left join gateway_position before on before.gateway = w.was and before.partition = w.device %% %(partitions)s
where device.id = w.device and device.held_by is not distinct from w.was
  and device.held_term is not distinct from w.was_term

-- name: join_gateway
-- Makes gateways members of another.
update gateway set member_of = (select id from gateway where code = %(head)s)
where code = any(%(codes)s) and code <> %(head)s
  and member_of is distinct from (select id from gateway where code = %(head)s)

-- name: leave_gateway
-- These share no longer; what they held waits for a new holder, and what was pinned to them is so no more.
with gone as (update gateway set member_of = null where code = any(%(codes)s) and member_of is not null returning id)
update device set pinned_to = nullif(pinned_to, g.id), held_by = null, held_term = null
from gone g where g.id in (device.held_by, device.pinned_to)

-- name: alone
-- A gateway whose processes are all gone but one holds its devices as its own.
update device set pinned_to = null, held_by = null, held_term = null, held_since = null, free_since = null
where gateway = (select id from gateway where code = %(head)s) and (held_by is not null or pinned_to is not null)
  and not exists (select from gateway m where m.member_of = device.gateway)

-- name: gateway_members
select code from gateway where member_of = (select id from gateway where code = %(head)s) order by id

-- name: pin
-- Pins devices to a process of their gateway, or to none.
update device set pinned_to = p.id, held_term = case when p.id is null then -1 else device.held_term end
from device d left join gateway p on p.code = %(process)s
where device.id = d.id and d.retired_at is null and d.code = any(%(devices)s)
  and (%(process)s::text is null or d.gateway = coalesce(p.member_of, p.id))
returning d.code

-- name: holders
-- Every gateway process, the gateway whose devices it shares, and what it holds since when.
select g.code, coalesce(h.code, g.code) as head, count(d.id)::integer as devices,
       (count(d.id) filter (where d.pinned_to is not null))::integer as pinned,
       max(d.held_since) as since, max(p.watched_until) as watched_until
from gateway g
left join gateway h on h.id = g.member_of
left join device d on coalesce(d.held_by, d.gateway) = g.id and d.retired_at is null
    and (d.held_by is not null or not exists (select from gateway m where m.member_of = d.gateway))
left join (select gateway, max(watched_until) as watched_until from gateway_position group by gateway) p on p.gateway = g.id
group by g.id, g.code, h.code
order by coalesce(h.code, g.code), g.id

-- name: waiting_seats
-- How many devices of gateways of several processes nobody holds.
select count(*)::integer from device d
where d.retired_at is null and d.held_by is null and exists (select from gateway m where m.member_of = d.gateway)
