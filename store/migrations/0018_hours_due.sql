-- An hour was computed afresh with each of its minutes, sixty times as much as it takes. It is computed when it has ended,
-- when something comes into it later, and while it runs at most every ten minutes.

create table rollup_hour_due (
    partition integer not null,
    stride integer not null,
    time timestamptz not null,
    device integer not null,
    marked_at timestamptz not null default clock_timestamp(),
    primary key (time, partition, device, stride)
);
comment on table rollup_hour_due is 'Hours whose minutes were rolled up since they were last computed; partition, stride and device as in `rollup_due`.';
