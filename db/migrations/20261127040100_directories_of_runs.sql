-- migrate:up

-- Whether the files of a run directory may change the run, or only add lines to it. Of runs that are there already
-- nobody knows who made them.
ALTER TABLE runs ADD COLUMN directory_speaks boolean NOT NULL DEFAULT true;
ALTER TABLE runs ALTER COLUMN directory_speaks SET DEFAULT false;

-- migrate:down

ALTER TABLE runs DROP COLUMN directory_speaks;
