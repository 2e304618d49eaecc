-- Devices that are connected now, for the wall to show.

-- name: watch
-- Every gateway has been watched for an hour, and will be.
insert into watch
select nextval('watch_id_seq'), currval('watch_id_seq'), null, gateway.id, partition, 1, now() - interval '1 hour',
       now() + interval '1 hour', now() - interval '1 hour', now() + interval '1 hour', true, false
from gateway cross join generate_series(0, %(partitions)s - 1) partition;

-- name: connect
-- All devices connected from now on.
insert into presence
select device.id, device.enterprise, device.gateway, watch.span, now(), 4, 'value', now()
from device join watch on watch.gateway = device.gateway and watch.partition = device.id %% %(partitions)s;

-- name: fall
-- One device loses its values now.
insert into presence
select device, enterprise, gateway, span, now(), 2, 'no-answer', now()
from presence where device = %(device)s order by valid_from desc limit 1;
