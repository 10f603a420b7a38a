-- migrate:up

-- A run may be written in two places: with one id, on two machines or in two folders. Each has a spool, and the
-- cursor fits only one of them. Without knowing which, the second would be taken from the middle of a line on.
ALTER TABLE log_sources ADD COLUMN spool text;
COMMENT ON COLUMN log_sources.spool IS 'The spool that the cursor belongs to: the id of its first message.';

-- migrate:down

ALTER TABLE log_sources DROP COLUMN spool;
