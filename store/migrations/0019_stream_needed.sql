-- The stream forgets what every partition is done with in one go, so each says in the database from where it needs it: a
-- database put back to an earlier state then also needs what it needed at that time.

alter table stream_position add column needed bigint not null default 0;
comment on column stream_position.needed is 'The first sequence that the stream must still hold for this partition: its last stored message, or what a worker that takes over has to read again.';
