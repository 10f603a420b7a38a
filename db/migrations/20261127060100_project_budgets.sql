-- migrate:up

-- The budget of each run of a project that names none of its own and has no parent.
ALTER TABLE projects ADD COLUMN run_budget json;
GRANT UPDATE (run_budget) ON projects TO runcast_accounts;

-- migrate:down
ALTER TABLE projects DROP COLUMN run_budget;
