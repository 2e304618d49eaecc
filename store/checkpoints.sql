-- name: presence_alone
-- Waits until nobody is writing presence, and keeps writers waiting until the transaction ends.
select pg_advisory_xact_lock(7238816391013);

-- name: frame_alone
-- The same for the ledger and for what devices say they are.
select pg_advisory_xact_lock(7238816391014);

-- name: make_presence
-- The next checkpoint of each of some spans: when half as many rows have come as it has devices, at least `least`, the newest
-- of them is its instant. Only rows that lie `settle` back are looked at, because most of what comes late comes soon.
-- What came after a checkpoint is later than all that is in it, so its records are kept as they are or replaced.
with last as (
    select due.span, due.enterprise, coalesce(c.at, '-infinity') as at, c.recorded_to, coalesce(c.devices, 0) as devices,
           c.records, coalesce(c.reasons, '{}') as reasons
    from unnest(%(span)s::bigint[], %(enterprise)s::integer[]) as due (span, enterprise)
    left join lateral (
        select * from presence_checkpoint c
        where c.span = due.span and c.enterprise = due.enterprise
        order by c.at desc limit 1
    ) c on true
),
ready as materialized (
    select last.*, nth.valid_from as next_at
    from last
    cross join lateral (
        select p.valid_from from presence p
        where p.span = last.span and p.enterprise = last.enterprise and p.valid_from > last.at
          and p.valid_from <= clock_timestamp() - %(settle)s::interval
        order by p.valid_from offset greatest(last.devices / 2, %(least)s) - 1 limit 1
    ) nth
),
newer as materialized (
    select distinct on (ready.span, ready.enterprise, p.device)
           ready.span, ready.enterprise, p.device, p.valid_from, p.recorded_at, p.state, p.reason
    from ready
    cross join lateral (
        select * from presence p
        where p.span = ready.span and p.enterprise = ready.enterprise
          and p.valid_from > ready.at and p.valid_from <= ready.next_at
        offset 0
    ) p
    order by ready.span, ready.enterprise, p.device, p.valid_from desc, p.recorded_at desc, p.state desc
),
head as materialized (
    select ready.span, ready.enterprise, ready.next_at, greatest(ready.recorded_to, max(newer.recorded_at)) as recorded_to,
           ready.reasons || coalesce(
               array_agg(distinct newer.reason) filter (where newer.reason <> all (ready.reasons)), '{}'
           ) as reasons
    from ready join newer using (span, enterprise)
    group by ready.span, ready.enterprise, ready.next_at, ready.recorded_to, ready.reasons
),
record as (
    select old.span, old.enterprise, old.device, old.bytes
    from (
        select ready.span, ready.enterprise, unsigned(ready.records, 16 * n + 1, 4)::integer as device,
               substring(ready.records from 16 * n + 1 for 16) as bytes
        from ready cross join lateral generate_series(0, ready.devices - 1) n
    ) old
    left join newer using (span, enterprise, device)
    where newer.device is null
    union all
    select span, enterprise, newer.device,
           int4send(newer.device) || timestamptz_send(newer.valid_from) || int2send(newer.state)
           || int2send(array_position(head.reasons, newer.reason)::smallint)
    from newer join head using (span, enterprise)
)
insert into presence_checkpoint (span, enterprise, at, recorded_to, devices, records, reasons)
select head.span, head.enterprise, head.next_at, head.recorded_to, given.devices, given.records, head.reasons
from head
join (
    select span, enterprise, count(*) as devices, string_agg(bytes, '' order by device) as records
    from record group by span, enterprise
) given using (span, enterprise)
returning span, enterprise;

-- name: due
-- Where presence was written since the last checkpoint, after a place in that order.
select span, enterprise from presence_due
where (span, enterprise) > (%(span)s, %(enterprise)s)
order by span, enterprise
limit %(limit)s;

-- name: done
-- Forgets spans that nobody writes to any more: too few rows have come for another checkpoint, and none for a day.
delete from presence_due d
using unnest(%(span)s::bigint[], %(enterprise)s::integer[]) as looked (span, enterprise)
where d.span = looked.span and d.enterprise = looked.enterprise and not exists (
    select from presence p
    where p.span = d.span and p.enterprise = d.enterprise and p.valid_from > clock_timestamp() - interval '1 day'
);

-- name: make_frames
-- The next checkpoint of each enterprise's frame: when the ledger or what devices say has changed a sixteenth as often
-- as there are devices, at least `least` times, the newest of these changes is its instant.
with last as materialized (
    select enterprise.id as enterprise, coalesce(c.at, '-infinity') as at, coalesce(c.devices, 0) as devices
    from enterprise
    left join lateral (
        select * from frame_checkpoint c where c.enterprise = enterprise.id order by c.at desc limit 1
    ) c on true
),
ready as materialized (
    select last.enterprise, nth.at
    from last
    cross join lateral (
        select change.at from (
            select h.recorded_at as at from device_history h
            where h.enterprise = last.enterprise and h.recorded_at > last.at
            union all
            select i.observed_at from identity i
            where i.enterprise = last.enterprise and i.observed_at > last.at
        ) change
        where change.at <= clock_timestamp() - %(settle)s::interval
        order by change.at offset greatest(last.devices / 16, %(least)s) - 1 limit 1
    ) nth
),
book as materialized (
    select distinct on (h.device) ready.at, h.*
    from ready join device_history h on h.enterprise = ready.enterprise and h.recorded_at <= ready.at
    order by h.device, h.recorded_at desc, h.version desc
),
said as materialized (
    select distinct on (i.device) i.enterprise, i.device, i.origin, i.recorded_at
    from ready join identity i on i.enterprise = ready.enterprise and i.observed_at <= ready.at
    order by i.device, i.observed_at desc, i.recorded_at desc, i.id desc
),
grouped as (
    insert into frame_group (enterprise, at, industry, device_class, consumes_energy, protocol, ledger_origin,
                             identity_origin, records, codes, names)
    select book.enterprise, book.at, book.industry, book.device_class, book.consumes_energy, book.protocol,
           book.origin, said.origin,
           string_agg(int4send(book.device) || int4send(coalesce(book.gateway, 0)), '' order by book.device),
           json_agg(book.code order by book.device), json_agg(book.name order by book.device)
    from book left join said on said.device = book.device
    where not book.retired
    group by 1, 2, 3, 4, 5, 6, 7, 8
)
insert into frame_checkpoint (enterprise, at, recorded_to, devices)
select ready.enterprise, ready.at,
       coalesce((select max(said.recorded_at) from said where said.enterprise = ready.enterprise), '-infinity'),
       (select count(*) from book where book.enterprise = ready.enterprise and not book.retired)
from ready
returning enterprise;
