-- name: partitions
-- The partitions of a table with their bounds as text and their bytes on disk.
select child.relname, pg_get_expr(child.relpartbound, child.oid), pg_total_relation_size(child.oid)
from pg_inherits
join pg_class child on child.oid = inhrelid
where inhparent = to_regclass('public.' || %(table)s);

-- name: lock_other
-- Nobody writes odd times while a partition takes its rows out of the default one.
lock table {other} in access exclusive mode;

-- name: create_partition
-- A table like its parent, not yet part of it.
create table {partition} (like {table} including all) with (autovacuum_vacuum_insert_threshold = -1);

-- name: move_out
-- Rows that came before their partition was made.
with moved as (delete from {other} where {column} >= {start} and {column} < {end} returning *)
insert into {partition} select * from moved;

-- name: attach
-- From here on rows of this range go there.
alter table {table} attach partition {partition} for values from ({start}) to ({end});

-- name: record
-- What retention drops, so that expired can be told from lost.
insert into retention (relation, from_time, to_time, bytes, reason) values (%s, %s, %s, %s, %s);

-- name: drop_partition
-- All of it at once: no row is deleted, no space is left behind.
drop table {partition};

-- name: extent_of_other
-- The times and the size of what the default partition holds.
select min({column}), max({column}), pg_total_relation_size({other_name}::regclass) from {other};

-- name: drop_other
-- The default partition, whole.
drop table {other};

-- name: create_other
-- A new, empty default partition.
create table {other} partition of {table} default;

-- name: size_of_other
-- Bytes on disk of a default partition.
select pg_total_relation_size(to_regclass('public.' || %(other)s));

-- name: size_of_database
-- Bytes on disk of everything in this database.
select pg_database_size(current_database());

-- name: chunks
-- The chunks of the hypertable with their ranges and their bytes on disk.
select chunk.chunk_name, chunk.range_start, chunk.range_end, coalesce(size.total_bytes, 0)
from timescaledb_information.chunks chunk
left join chunks_detailed_size('public.scan') size using (chunk_schema, chunk_name)
where chunk.hypertable_schema = 'public' and chunk.hypertable_name = 'scan'
order by chunk.range_start;

-- name: drop_chunk
-- One chunk whole.
select drop_chunks('public.scan', older_than => %(end)s::timestamptz, newer_than => %(start)s::timestamptz);

-- name: empty_odd
-- Scans of odd times, all at once.
truncate scan_other;
