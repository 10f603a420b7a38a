-- migrate:up

-- Others than administrators have files of the run's own directory followed. Whether a directory is the run's is
-- asked again when it is read, as it may come later.
ALTER TABLE log_sources ADD COLUMN is_by_admin boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN log_sources.is_by_admin IS 'An administrator asked for this tail.';

-- migrate:down
ALTER TABLE log_sources DROP COLUMN is_by_admin;
