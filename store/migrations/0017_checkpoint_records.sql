-- Checkpoints once more, as records of fixed width: a question hands them on as they lie, where an array is taken apart by
-- the database and put together again by who asks. Those there are go; the keeper makes them anew.

drop table presence_checkpoint;
create table presence_checkpoint (
    span bigint not null,
    enterprise integer not null,
    at timestamptz not null,
    recorded_to timestamptz not null,
    devices integer not null,
    records bytea not null check (octet_length(records) = 16 * devices),
    reasons text[] not null,
    primary key (span, enterprise, at)
);
comment on table presence_checkpoint is 'Of each device, the row of presence with the latest valid_from up to `at`.';
comment on column presence_checkpoint.recorded_to is 'All of it was recorded by then, so it holds for whoever asks as known at that instant or later.';
comment on column presence_checkpoint.records is 'By device: its number, since when (µs from 2000), state, place of the reason in `reasons` (from 1 on); big-endian integers of 4, 8, 2 and 2 bytes.';
insert into presence_due select distinct span, enterprise from presence on conflict do nothing;

drop table frame_group;
delete from frame_checkpoint;
create table frame_group (
    enterprise integer not null,
    at timestamptz not null,
    industry text not null,
    device_class text not null,
    consumes_energy boolean not null,
    protocol text not null,
    ledger_origin text not null,
    identity_origin text,
    records bytea not null check (octet_length(records) % 8 = 0),
    codes json not null,
    names json not null
);
create index frame_group_checkpoint on frame_group (enterprise, at);
comment on table frame_group is 'The devices of a checkpoint that are alike but for number, gateway, code and name.';
comment on column frame_group.records is 'By device: its number and its gateway (0: at none), big-endian integers of 4 bytes; `codes` and `names` are in the same order.';

do $$
declare
    name text;
begin
    foreach name in array array['presence_checkpoint', 'frame_group'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy tenant on %I using (enterprise <@ (select permitted_enterprises()))', name);
        execute format('grant select on %I to muster_ingest, muster_notary, muster_api, muster_reader', name);
    end loop;
end
$$;
