-- What the counting questions need to stay quick over a year of presence: the newest state of a device within a span
-- of watching is one index probe, in exactly the order in which the question asks; a window reads the index alone.

create index presence_span on presence (device, span, valid_from desc, recorded_at desc, state desc) include (enterprise);
create index device_history_recorded on device_history (recorded_at);
create index identity_observed on identity (observed_at);
