-- Roll-ups per device, arrays in the order of its tags, made from scans in source time by one job; and what
-- retention has dropped.

create table rollup_minute (
    device integer not null,
    time timestamptz not null,
    count integer[] not null,
    good integer[] not null,
    min float8[] not null,
    max float8[] not null,
    mean float8[] not null,
    last float8[] not null,
    primary key (device, time)
) partition by range (time);
create table rollup_minute_other partition of rollup_minute default;

create table rollup_hour (like rollup_minute including all);

create table rollup_due (
    partition integer not null,
    stride integer not null,
    time timestamptz not null,
    device integer not null,
    marked bigint not null,
    primary key (time, partition, device, stride)
);
comment on table rollup_due is 'Minutes that scans came into since they were last rolled up; `marked` tells a later mark from the one worked on.';
comment on column rollup_due.device is '0: every device of the partition, those whose number leaves `partition` when divided by `stride`.';
create sequence rollup_mark_seq;

create table retention (
    id bigint generated always as identity primary key,
    relation text not null,
    from_time timestamptz,
    to_time timestamptz,
    bytes bigint not null,
    reason text not null,
    dropped_at timestamptz not null default clock_timestamp()
);
create trigger append_only before update or delete on retention for each row execute function refuse_change();
create index retention_relation on retention (relation, to_time desc);
comment on table retention is 'Every partition ever dropped, so that expired can be told from lost.';

create view rollup with (security_barrier) as
select r.device, tag.position, tag.name as tag, r.time,
       r.count[tag.position] as count, r.good[tag.position] as good, r.min[tag.position] as min,
       r.max[tag.position] as max, r.mean[tag.position] as mean, r.last[tag.position] as last
from tag join rollup_minute r on r.device = tag.device
where tag.enterprise <@ (select permitted_enterprises()) and r.count[tag.position] is not null;

create view rollup_hourly with (security_barrier) as
select r.device, tag.position, tag.name as tag, r.time,
       r.count[tag.position] as count, r.good[tag.position] as good, r.min[tag.position] as min,
       r.max[tag.position] as max, r.mean[tag.position] as mean, r.last[tag.position] as last
from tag join rollup_hour r on r.device = tag.device
where tag.enterprise <@ (select permitted_enterprises()) and r.count[tag.position] is not null;

grant select on rollup, rollup_hourly, retention to muster_api, muster_reader, muster_notary;
comment on view rollup is 'One row per minute of a numeric tag. min, max, mean and last are over the Good readings; mean is NaN where one of them is not finite or beyond 1e290.';
grant select on rollup_due to muster_api;
grant select, insert, update on rollup_due to muster_ingest;
grant usage on sequence rollup_mark_seq to muster_ingest;
