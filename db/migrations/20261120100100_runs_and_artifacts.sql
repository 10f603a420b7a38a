-- migrate:up

-- Every batch of log lines moves `last_line_number` and `heard_at`; no index holds them and pages keep
-- room, so these updates stay HOT.
CREATE TABLE runs (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects,
    key text,
    name text,
    phase text NOT NULL,
    current_step text,
    steps text[] NOT NULL,
    status text NOT NULL CHECK (status IN (
        'queued', 'running', 'awaiting_feedback', 'completed', 'failed', 'cancelled')),
    agent_type text,
    agent_name text,
    task_id uuid,
    attempt integer NOT NULL DEFAULT 1,
    retry_of uuid REFERENCES runs,
    error text,
    will_retry boolean,
    result json,
    pr_url text,
    input json,
    metadata json NOT NULL DEFAULT '{}',
    progress json,
    liveness text NOT NULL DEFAULT 'ok' CHECK (liveness IN ('ok', 'stalled', 'lost')),
    last_line_number bigint NOT NULL DEFAULT 0,
    step_timestamps json NOT NULL DEFAULT '{}',
    is_watched boolean NOT NULL DEFAULT false,
    heard_at timestamptz NOT NULL DEFAULT now(),
    expected_at timestamptz,
    created_by uuid REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
COMMENT ON COLUMN runs.is_watched IS
    'Liveness is judged: it sent a heartbeat once, or was started by SDK, CLI or claim.';
COMMENT ON COLUMN runs.heard_at IS 'When anything was last reported by or for this run.';
COMMENT ON COLUMN runs.expected_at IS 'The time by which the worker promised to be heard again.';
CREATE UNIQUE INDEX runs_key ON runs (project_id, key) WHERE key IS NOT NULL;
CREATE INDEX runs_newest ON runs (project_id, created_at DESC, id DESC);
CREATE INDEX runs_active ON runs (project_id) WHERE status IN ('queued', 'running', 'awaiting_feedback');
CREATE INDEX runs_of_task ON runs (task_id) WHERE task_id IS NOT NULL;

CREATE TABLE artifacts (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects,
    run_id uuid NOT NULL REFERENCES runs,
    step_name text NOT NULL,
    version integer NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL,
    sha256 text NOT NULL,
    filename text,
    content bytea,
    object_key text,
    created_by uuid REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (run_id, step_name, version),
    CHECK ((content IS NULL) <> (object_key IS NULL))
);
COMMENT ON COLUMN artifacts.content IS 'The content itself up to 1 MiB; what is larger lies under object_key.';

-- The committed cursor of every source of lines: what the ingester compares and moves with the lines.
CREATE TABLE log_sources (
    run_id uuid NOT NULL REFERENCES runs,
    source text NOT NULL,
    project_id uuid NOT NULL REFERENCES projects,
    generation integer NOT NULL DEFAULT 1,
    next_line bigint NOT NULL DEFAULT 1,
    next_offset bigint NOT NULL DEFAULT 0,
    lines bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    bytes_after_end bigint NOT NULL DEFAULT 0,
    file json,
    closed_reason text,
    closed_at timestamptz,
    path text,
    is_active boolean NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, source)
) WITH (fillfactor = 50);
COMMENT ON COLUMN log_sources.next_line IS 'The line of this generation that comes next, from 1.';
COMMENT ON COLUMN log_sources.next_offset IS 'The byte of this generation at which that line starts.';
COMMENT ON COLUMN log_sources.lines IS 'Lines stored over all generations.';
COMMENT ON COLUMN log_sources.file IS 'Which file the cursor belongs to: device, inode, hash of the bytes before it.';
COMMENT ON COLUMN log_sources.path IS 'Set where a tail was asked for over the API.';
CREATE INDEX log_sources_tailed ON log_sources (run_id) WHERE is_active;

GRANT SELECT ON runs, artifacts, log_sources TO runcast_request;
GRANT SELECT, INSERT, UPDATE ON runs, log_sources TO runcast_log;
GRANT SELECT, INSERT, DELETE ON artifacts TO runcast_log;
GRANT DELETE ON runs, log_sources TO runcast_log;

-- migrate:down
DROP TABLE log_sources, artifacts, runs;
