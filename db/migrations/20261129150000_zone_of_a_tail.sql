-- migrate:up

ALTER TABLE log_sources ADD COLUMN zone text;
COMMENT ON COLUMN log_sources.zone IS
    'The time zone (IANA) of times without an offset in the followed file; the tailer''s own where it is null.';

-- migrate:down

ALTER TABLE log_sources DROP COLUMN zone;
