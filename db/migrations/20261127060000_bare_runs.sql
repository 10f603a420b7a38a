-- migrate:up

-- A run that was made because another one named it as its parent, before it was heard of itself. What it is made
-- of is filled in when it is.
ALTER TABLE runs ADD COLUMN is_bare boolean NOT NULL DEFAULT false;

-- migrate:down
ALTER TABLE runs DROP COLUMN is_bare;
