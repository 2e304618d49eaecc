-- A gateway of several processes: each is a gateway with its own key and outbox and a member of the first one, and
-- every device of the first is held by one of them at a time. `device.gateway` stays what the book says;
-- `device_history.gateway` is the process that speaks for the device, so every past count follows the holder.

alter table gateway add member_of integer references gateway check (member_of <> id);
comment on column gateway.member_of is 'The gateway whose devices this process shares; null: its devices are its own, or it is the first of several.';

alter table device
    add pinned_to integer references gateway,
    add held_by integer references gateway,
    add held_term bigint,
    add held_since timestamptz,
    add free_since timestamptz;
comment on column device.pinned_to is 'Only this process reaches the device; nobody takes it over.';
comment on column device.held_by is 'The process that watches the device; null: its gateway is one process, or nobody holds it yet.';
comment on column device.held_term is 'The lease under which it is held; 0 when pinned. A process polls a device under exactly this lease.';
comment on column device.free_since is 'Until when the holder before is known to have watched.';
create index device_held_by on device (held_by) where held_by is not null;

create function device_reseated() returns trigger language plpgsql as $$
begin
    if new.gateway is distinct from old.gateway then
        new.pinned_to := null;
        new.held_by := null;
        new.held_term := null;
        new.held_since := null;
        new.free_since := null;
    end if;
    return new;
end
$$;
create trigger device_reseated before update on device for each row execute function device_reseated();

create or replace function device_recorded() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into device_history values (
        new.id, new.enterprise, clock_timestamp(), new.version, new.site, coalesce(new.held_by, new.gateway), new.code, new.name,
        new.device_class, new.industry, new.kind, new.consumes_energy, new.interval_s, new.origin, new.protocol,
        new.endpoint, new.retired_at is not null
    );
    perform pg_notify('device', new.id::text);
    return null;
end
$$;
comment on column device_history.gateway is 'The process that spoke for the device from then on.';
