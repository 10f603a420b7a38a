-- migrate:up

-- What runs have used, by day and model: what reports are made of. A row changes at most once in a while for
-- each run that works; sums over it are small.
CREATE TABLE usage_daily (
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    day date NOT NULL,
    run_id uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    model text NOT NULL,
    agent text NOT NULL,
    requests bigint NOT NULL DEFAULT 0,
    input_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    cache_read_tokens bigint NOT NULL DEFAULT 0,
    cache_write_tokens bigint NOT NULL DEFAULT 0,
    reasoning_tokens bigint NOT NULL DEFAULT 0,
    cost_usd double precision NOT NULL DEFAULT 0,
    priced_tokens bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, day, run_id, model)
) WITH (fillfactor = 80);
COMMENT ON COLUMN usage_daily.priced_tokens IS 'Of input and output together: those whose cost is known.';
CREATE INDEX usage_daily_of_run ON usage_daily (run_id);
SELECT guard_project_table('usage_daily', 'run_id');
GRANT SELECT ON usage_daily TO runcast_request;
GRANT SELECT, INSERT, UPDATE ON usage_daily TO runcast_log;

-- Requests that were reported one by one, so that each counts once.
CREATE TABLE usage_requests (
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    run_id uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    id text NOT NULL,
    PRIMARY KEY (run_id, id)
);
SELECT guard_project_table('usage_requests', 'run_id');
GRANT SELECT, INSERT ON usage_requests TO runcast_log;
GRANT SELECT ON usage_requests TO runcast_request;

ALTER TABLE runs ADD COLUMN budget json, ADD COLUMN budget_spent smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN runs.budget_spent IS 'The highest threshold, in percent, that was told of: 0, 80, 100.';

-- migrate:down
ALTER TABLE runs DROP COLUMN budget, DROP COLUMN budget_spent;
DROP TABLE usage_requests, usage_daily;
