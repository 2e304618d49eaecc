-- Checkpoints: what the frame and a whole span of watching looked like at an instant, kept as arrays, so that a past
-- count reads a few rows instead of asking for each device. A checkpoint only says again what `device_history`,
-- `identity` and `presence` say: all of them can be deleted at any time, and the keeper makes them anew
-- (`store/checkpoints.sql`).

create table presence_checkpoint (
    span bigint not null,
    enterprise integer not null,
    at timestamptz not null,
    recorded_to timestamptz not null,
    device integer[] not null,
    since timestamptz[] not null,
    state smallint[] not null,
    reason smallint[] not null,
    reasons text[] not null,
    primary key (span, enterprise, at)
);
comment on table presence_checkpoint is 'Of each device, the row of presence with the latest valid_from up to `at`; arrays of equal length, by device.';
comment on column presence_checkpoint.recorded_to is 'All of it was recorded by then, so it holds for whoever asks as known at that instant or later.';
comment on column presence_checkpoint.reason is 'Places in `reasons`, from 1 on.';

create table presence_due (
    span bigint not null,
    enterprise integer not null,
    primary key (span, enterprise)
);
comment on table presence_due is 'Where presence was written since the last checkpoint.';
insert into presence_due select distinct span, enterprise from presence;

create table frame_checkpoint (
    enterprise integer not null,
    at timestamptz not null,
    recorded_to timestamptz not null,
    devices integer not null,
    primary key (enterprise, at)
);
comment on table frame_checkpoint is 'The devices registered and not retired at `at`, and what they had said they are; they stand in frame_group.';
comment on column frame_checkpoint.recorded_to is 'All they had said was recorded by then.';

create table frame_group (
    enterprise integer not null,
    at timestamptz not null,
    industry text not null,
    device_class text not null,
    consumes_energy boolean not null,
    protocol text not null,
    ledger_origin text not null,
    identity_origin text,
    device integer[] not null,
    gateway integer[] not null,
    code text[] not null,
    name text[] not null
);
create index frame_group_checkpoint on frame_group (enterprise, at);
comment on table frame_group is 'The devices of a checkpoint that are alike but for number, gateway, code and name; arrays of equal length.';
comment on column frame_group.gateway is '0: at none.';

-- The rows between a checkpoint and the asked instant. Nothing asks for presence by time alone.
create index presence_since on presence (span, enterprise, valid_from);
drop index presence_time;
create index device_history_enterprise on device_history (enterprise, recorded_at);
create index identity_enterprise on identity (enterprise, observed_at);

-- A checkpoint that lacks a row is worse than none: whoever writes a row withdraws those that it should be in. The
-- lock is shared among writers and taken alone by the keeper, so that no checkpoint is being made meanwhile.
create function presence_written() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    perform pg_advisory_xact_lock_shared(7238816391013);
    delete from presence_checkpoint c
    using (select span, enterprise, min(valid_from) as first from written group by span, enterprise) w
    where c.span = w.span and c.enterprise = w.enterprise and c.at >= w.first;
    insert into presence_due select distinct span, enterprise from written on conflict do nothing;
    return null;
end
$$;
create trigger presence_written after insert on presence referencing new table as written
    for each statement execute function presence_written();

create function ledger_written() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    perform pg_advisory_xact_lock_shared(7238816391014);
    delete from frame_checkpoint c using (select enterprise, min(recorded_at) as first from written group by enterprise) w
    where c.enterprise = w.enterprise and c.at >= w.first;
    delete from frame_group g using (select enterprise, min(recorded_at) as first from written group by enterprise) w
    where g.enterprise = w.enterprise and g.at >= w.first;
    return null;
end
$$;
create trigger ledger_written after insert on device_history referencing new table as written
    for each statement execute function ledger_written();

create function identity_written() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    perform pg_advisory_xact_lock_shared(7238816391014);
    delete from frame_checkpoint c using (select enterprise, min(observed_at) as first from written group by enterprise) w
    where c.enterprise = w.enterprise and c.at >= w.first;
    delete from frame_group g using (select enterprise, min(observed_at) as first from written group by enterprise) w
    where g.enterprise = w.enterprise and g.at >= w.first;
    return null;
end
$$;
create trigger identity_written after insert on identity referencing new table as written
    for each statement execute function identity_written();

do $$
declare
    name text;
begin
    foreach name in array array['presence_checkpoint', 'presence_due', 'frame_checkpoint', 'frame_group'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy tenant on %I using (enterprise <@ (select permitted_enterprises()))', name);
        execute format('grant select on %I to muster_ingest, muster_notary, muster_api, muster_reader', name);
    end loop;
end
$$;
