-- migrate:up

-- A process of the version before, which still runs during an upgrade, makes runs without this column; nobody
-- knows whether a directory made them. So they may be changed by one, as those may that were there already; with
-- false they never could be. This version names the value of each run that it makes.
ALTER TABLE runs ALTER COLUMN directory_speaks SET DEFAULT true;

-- migrate:down

ALTER TABLE runs ALTER COLUMN directory_speaks SET DEFAULT false;
