-- migrate:up

-- What a run measures: numbers by name, in the order in which they came.
CREATE TABLE run_metrics (
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    run_id uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    name text NOT NULL,
    place integer NOT NULL,
    step bigint,
    value double precision NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (run_id, name, place)
);
COMMENT ON COLUMN run_metrics.place IS 'Counts 1, 2, 3 … for each name of a run.';
SELECT guard_project_table('run_metrics', 'run_id');
GRANT SELECT ON run_metrics TO runcast_request;
GRANT SELECT, INSERT ON run_metrics TO runcast_log;

ALTER TABLE runs ADD COLUMN metrics json NOT NULL DEFAULT '{}';
COMMENT ON COLUMN runs.metrics IS 'The last value of each metric.';

-- migrate:down
ALTER TABLE runs DROP COLUMN metrics;
DROP TABLE run_metrics;
