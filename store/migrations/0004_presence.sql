-- Presence: what can be said of each device, append-only and bitemporal.
--
-- `watch` says when a gateway's devices of one partition were watched; outside it a device is unobserved.
-- `presence` says from when on a device was in a state, within the watch that holds that instant; a state
-- ends where the next one begins or where the watch ends. Both carry when they were recorded, so the picture
-- as known at any later second can be given again.

create sequence watch_id_seq;
create table watch (
    id bigint primary key,
    span bigint not null,
    enterprise integer references enterprise,
    gateway integer not null references gateway,
    partition integer not null,
    epoch bigint not null,
    valid_from timestamptz not null,
    valid_to timestamptz not null,
    recorded_from timestamptz not null,
    recorded_to timestamptz not null,
    live boolean not null,
    ended boolean not null default false,
    check (valid_to >= valid_from)
);
create index watch_span on watch (gateway, partition, valid_from desc);
create index watch_newest on watch (gateway, partition, id desc);
alter sequence watch_id_seq owned by watch.id;
comment on table watch is 'Live watches grow at their end as batches come; what came late is a row of its own per transaction.';
comment on column watch.span is 'Rows that continue one another share a span, the id of its first row: the gateway watched without a break, whenever we learned of it.';
comment on column watch.live is 'Each extension was recorded within the lease, so until recorded_to + lease the watch was believed to go on.';
comment on column watch.ended is 'The gateway stopped in good order: no lease applies after valid_to.';

create function watch_grows() returns trigger language plpgsql as $$
begin
    if (new.id, new.span, new.enterprise, new.gateway, new.partition, new.epoch, new.valid_from, new.recorded_from, new.live)
        is distinct from (old.id, old.span, old.enterprise, old.gateway, old.partition, old.epoch, old.valid_from, old.recorded_from, old.live)
        or new.valid_to < old.valid_to or new.recorded_to < old.recorded_to or not old.live or old.ended then
        raise exception 'watch: a live watch may only grow at its end' using errcode = 'insufficient_privilege';
    end if;
    return new;
end
$$;
create trigger watch_grows before update on watch for each row execute function watch_grows();
create trigger never_deleted before delete on watch for each row execute function refuse_change();

create table presence (
    device integer not null,
    enterprise integer not null,
    gateway integer not null,
    span bigint not null,
    valid_from timestamptz not null,
    state smallint not null check (state between 0 and 4),
    reason text not null,
    recorded_at timestamptz not null
);
create index presence_device on presence (device, valid_from desc);
create index presence_time on presence (valid_from);
create trigger append_only before update or delete on presence for each row execute function refuse_change();
comment on column presence.state is '0 unobserved, 1 offline, 2 linked, 3 responding, 4 connected';
comment on column presence.span is 'The span of `watch` this state was seen in; it says nothing outside that span.';

-- Where a worker that takes a partition over goes on: the state of every device of a gateway as it stood after one
-- batch, from which the batches that follow in the stream lead to now.
create table presence_memory (
    gateway integer not null references gateway,
    partition integer not null,
    stream text not null,
    stream_sequence bigint not null,
    epoch bigint not null,
    sequence bigint not null,
    recorded_at timestamptz not null,
    body bytea not null,
    primary key (gateway, partition)
);
alter table presence_memory set (toast.autovacuum_vacuum_scale_factor = 0.05);

alter table presence enable row level security;
alter table presence force row level security;
create policy tenant on presence using (enterprise <@ (select permitted_enterprises()));
alter table watch enable row level security;
alter table watch force row level security;
create policy tenant on watch using (coalesce(enterprise, 0) <@ (select permitted_enterprises()));
create policy shared on watch for select using (enterprise is null);
grant select on presence, watch to muster_ingest, muster_api, muster_notary, muster_reader;
grant insert on presence, watch to muster_ingest;
grant update (valid_to, recorded_to, ended) on watch to muster_ingest;
grant usage on sequence watch_id_seq to muster_ingest;
grant select, insert, update, delete on presence_memory to muster_ingest;
