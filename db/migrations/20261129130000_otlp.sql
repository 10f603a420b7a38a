-- migrate:up

-- Telemetry that was taken, so that what is sent again counts once: hashes, kept for a day. It has no foreign
-- key: at 20,000 records a second each look at another table would be seen, and age takes what is left over.
CREATE TABLE otlp_records (
    project_id uuid NOT NULL,
    id uuid NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, id)
);
CREATE INDEX otlp_records_by_age ON otlp_records USING brin (seen_at);
SELECT guard_project_table('otlp_records');
GRANT SELECT, INSERT, DELETE ON otlp_records TO runcast_log;

-- Which run a trace is. `span_id`: its span that is the run itself, once it came; other agents are children.
CREATE TABLE otlp_traces (
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    trace_id uuid NOT NULL,
    run_id uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    span_id text,
    heard_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, trace_id)
);
CREATE INDEX otlp_traces_of_run ON otlp_traces (run_id);
CREATE INDEX otlp_traces_by_age ON otlp_traces (heard_at);
SELECT guard_project_table('otlp_traces', 'run_id');
GRANT SELECT, INSERT, UPDATE, DELETE ON otlp_traces TO runcast_log;

-- Runs that telemetry made and that no telemetry ends: they are completed once nothing came for a while.
CREATE TABLE otlp_runs (
    run_id uuid PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    closes_at timestamptz NOT NULL
);
CREATE INDEX otlp_runs_by_end ON otlp_runs (closes_at);
CREATE INDEX otlp_runs_of_project ON otlp_runs (project_id);
SELECT guard_project_table('otlp_runs', 'run_id');
GRANT SELECT, INSERT, UPDATE, DELETE ON otlp_runs TO runcast_log;

-- migrate:down
DROP TABLE otlp_runs, otlp_traces, otlp_records;
