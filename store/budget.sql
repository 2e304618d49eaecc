-- name: any_scan_other
-- Whether scans of odd times are kept.
select 1 from scan_other limit 1;

-- name: any_reading_text_other
-- Whether texts of odd times are kept.
select 1 from reading_text_other limit 1;

-- name: any_batch_other
-- Whether batches of odd times are kept.
select 1 from batch_other limit 1;

-- name: bound_quarantine
-- Forgets the oldest refused batches beyond a number of bytes, with one row in `retention` for all of them.
with sized as (
    select id, recorded_at, octet_length(body) as bytes,
           sum(octet_length(body)) over (order by id desc) as younger
    from quarantine
), gone as (
    delete from quarantine using sized
    where quarantine.id = sized.id and sized.younger > %(limit)s
    returning sized.recorded_at, sized.bytes
), noted as (
    insert into retention (relation, from_time, to_time, bytes, reason)
    select 'quarantine', min(recorded_at), max(recorded_at), sum(bytes), 'disk-budget' from gone having count(*) > 0
    returning bytes
)
select (select count(*) from gone), (select bytes from noted);
