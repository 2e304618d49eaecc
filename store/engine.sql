-- name: detect
-- The version of TimescaleDB in this database and its licence (null without it), and whether scans are a hypertable.
select (select extversion from pg_extension where extname = 'timescaledb'),
       current_setting('timescaledb.license', true),
       (select relkind = 'r' from pg_class where oid = to_regclass('public.scan'));

-- name: lock_scan
-- Nobody writes scans while their table is made anew.
lock table scan in access exclusive mode;

-- name: create_series
-- The table that takes the place of the partitioned one, with the one index of scans.
create table scan_series (like scan including comments);

-- name: index_series
-- As on the partitioned table.
create index scan_series_device_time on scan_series (device, time desc);

-- name: make_hypertable
-- Chunks instead of partitions.
select create_hypertable('scan_series', 'time', chunk_time_interval => interval '1 hour',
                         create_default_indexes => false);

-- name: create_odd
-- What the default partition was: a clock that is far off must not ask for a chunk with every scan.
create table scan_odd (like scan including comments including indexes);

-- name: move_series
-- Scans of plausible times.
insert into scan_series select * from scan where time >= %(first)s and time < %(end)s;

-- name: move_odd
-- All others.
insert into scan_odd select * from scan where not (time >= %(first)s and time < %(end)s);

-- name: unite
-- From here on the views read both.
create or replace view any_scan as
select device, time, received, value, quality, batch from scan_series
union all
select device, time, received, value, quality, batch from scan_odd;

-- name: drop_partitioned
-- The partitioned table with all its partitions.
drop table scan;

-- name: name_series
-- Its name is the new one's.
alter table scan_series rename to scan;

-- name: name_odd
-- The name of the default partition, too.
alter table scan_odd rename to scan_other;

-- name: name_index
-- And of the index.
alter index scan_series_device_time rename to scan_device_time;

-- name: grant_ingest
-- The rights that the partitioned table gave.
grant select, insert on scan, scan_other to muster_ingest;

-- name: grant_notary
-- The rights that the partitioned table gave.
grant select on scan, scan_other to muster_notary;

-- name: columnstore_enabled
-- Whether chunks may be kept in columns.
select compression_enabled from timescaledb_information.hypertables
where hypertable_schema = 'public' and hypertable_name = 'scan';

-- name: enable_columnstore
-- A device's scans stand together, the newest first, as they are asked for.
alter table scan set (timescaledb.compress, timescaledb.compress_segmentby = 'device',
                      timescaledb.compress_orderby = 'time desc');

-- name: set_chunk_width
-- The width of chunks to come.
select set_chunk_time_interval('public.scan', %(width)s::interval);

-- name: due_for_columns
-- Chunks that ended and are not, or not wholly, in columns: late scans come into a chunk as rows.
select format('%%I.%%I', chunk.schema_name, chunk.table_name)
from timescaledb_information.chunks known
join _timescaledb_catalog.chunk chunk
    on chunk.schema_name = known.chunk_schema and chunk.table_name = known.chunk_name
where known.hypertable_schema = 'public' and known.hypertable_name = 'scan' and known.range_end < %(before)s
  and (not known.is_compressed or chunk.status & 8 <> 0)
order by known.range_start;

-- name: into_columns
-- Turns the rows of a chunk into columns, also those that came late.
select compress_chunk(%(chunk)s::regclass, if_not_compressed => true);
