-- migrate:up

-- A board: tasks, and subtasks, which are tasks with a parent. Changes of a project's board go one after
-- another (an advisory lock, see runcast_api/board/locking.py), so the counts that stand in a row
-- (`waits_for`, `open_subtasks`) are moved, never counted anew.
CREATE TABLE tasks (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects,
    parent_id uuid REFERENCES tasks ON DELETE CASCADE,
    key text,
    kind text,
    title text NOT NULL,
    description text,
    input json,
    status text NOT NULL,
    position double precision NOT NULL,
    open_subtasks integer NOT NULL DEFAULT 0,
    priority integer NOT NULL DEFAULT 0,
    depends_on text[] NOT NULL DEFAULT '{}',
    waits_for integer NOT NULL DEFAULT 0,
    queued_at timestamptz,
    attempt integer NOT NULL DEFAULT 1,
    max_attempts integer NOT NULL DEFAULT 3,
    worker_id text,
    claimed_at timestamptz,
    lease_seconds double precision,
    lease_expires_at timestamptz,
    run_id uuid,
    error text,
    skip_reason text,
    pr_url text,
    created_by uuid REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tasks_status CHECK (CASE WHEN parent_id IS NULL
        THEN status IN ('PLANNING', 'ACTIVE', 'DONE', 'PLANNING_FAILED')
        ELSE status IN ('BLOCKED', 'PENDING', 'IN_PROGRESS', 'IN_REVIEW', 'COMPLETED', 'MERGED',
                        'FAILED', 'SKIPPED') END),
    CONSTRAINT tasks_queued CHECK (queued_at IS NULL OR status = 'PENDING')
) WITH (fillfactor = 70);
COMMENT ON COLUMN tasks.open_subtasks IS 'Of a task: its subtasks that are not COMPLETED, MERGED or SKIPPED.';
COMMENT ON COLUMN tasks.depends_on IS
    'The same as its rows in task_dependencies, in the order given; as text, so that boards list fast.';
COMMENT ON COLUMN tasks.waits_for IS 'How many of those are not done. Above 0: BLOCKED.';
COMMENT ON COLUMN tasks.queued_at IS
    'From when on it may be claimed: set while it is PENDING and its task ACTIVE.';
COMMENT ON COLUMN tasks.lease_seconds IS 'By how much a heartbeat of its run extends the lease.';
COMMENT ON COLUMN tasks.lease_expires_at IS 'Set while a worker holds it.';

CREATE INDEX tasks_board ON tasks (project_id, position, id) WHERE parent_id IS NULL;
CREATE INDEX tasks_of_task ON tasks (parent_id, position, id) WHERE parent_id IS NOT NULL;
CREATE UNIQUE INDEX tasks_key ON tasks (parent_id, key) WHERE key IS NOT NULL;
CREATE INDEX tasks_queue ON tasks (project_id, priority DESC, queued_at, position, id)
    WHERE queued_at IS NOT NULL;
CREATE INDEX tasks_at_work ON tasks (project_id) WHERE status = 'IN_PROGRESS';
CREATE INDEX tasks_claimed ON tasks (project_id, claimed_at DESC) WHERE claimed_at IS NOT NULL;
CREATE INDEX tasks_leases ON tasks (lease_expires_at) WHERE lease_expires_at IS NOT NULL;
CREATE INDEX tasks_of_run ON tasks (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX tasks_recent ON tasks (updated_at DESC, id DESC) WHERE parent_id IS NOT NULL;
CREATE INDEX tasks_recent_by_status ON tasks (status, updated_at DESC, id DESC)
    WHERE parent_id IS NOT NULL;

CREATE TABLE task_dependencies (
    subtask_id uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
    depends_on_id uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
    project_id uuid NOT NULL,
    PRIMARY KEY (subtask_id, depends_on_id),
    CHECK (subtask_id <> depends_on_id)
);
CREATE INDEX task_dependencies_of ON task_dependencies (depends_on_id, subtask_id);

CREATE TABLE task_transitions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id uuid NOT NULL,
    task_id uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
    subtask_id uuid,
    old_status text,
    new_status text NOT NULL,
    actor text NOT NULL,
    worker_id text,
    run_id uuid,
    reason text,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN task_transitions.actor IS
    'Who: `user:<id>`, `key:<id>`, or `runcast` for what happens by itself.';
CREATE INDEX task_transitions_of ON task_transitions (task_id, id);

-- How many subtasks are in each status. Kept by triggers, as counting them would grow with all that was
-- ever done; sampled once a minute, so that a trend can be told.
CREATE TABLE queue_counts (
    project_id uuid NOT NULL,
    status text NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (project_id, status)
) WITH (fillfactor = 50);
CREATE TABLE queue_samples (
    at timestamptz NOT NULL,
    status text NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (at, status)
);

CREATE FUNCTION count_queue() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO queue_counts AS q (project_id, status, number)
        SELECT project_id, status, count(*) FROM later WHERE parent_id IS NOT NULL
        GROUP BY project_id, status ORDER BY project_id, status
        ON CONFLICT (project_id, status) DO UPDATE SET number = q.number + excluded.number;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO queue_counts AS q (project_id, status, number)
        SELECT project_id, status, -count(*) FROM earlier WHERE parent_id IS NOT NULL
        GROUP BY project_id, status ORDER BY project_id, status
        ON CONFLICT (project_id, status) DO UPDATE SET number = q.number + excluded.number;
    ELSE
        INSERT INTO queue_counts AS q (project_id, status, number)
        SELECT project_id, status, sum(change) FROM (
            SELECT project_id, status, 1 AS change FROM later WHERE parent_id IS NOT NULL
            UNION ALL
            SELECT project_id, status, -1 FROM earlier WHERE parent_id IS NOT NULL) moved
        GROUP BY project_id, status HAVING sum(change) <> 0 ORDER BY project_id, status
        ON CONFLICT (project_id, status) DO UPDATE SET number = q.number + excluded.number;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER tasks_counted_in AFTER INSERT ON tasks REFERENCING NEW TABLE AS later
    FOR EACH STATEMENT EXECUTE FUNCTION count_queue();
CREATE TRIGGER tasks_counted_out AFTER DELETE ON tasks REFERENCING OLD TABLE AS earlier
    FOR EACH STATEMENT EXECUTE FUNCTION count_queue();
CREATE TRIGGER tasks_counted_on AFTER UPDATE ON tasks REFERENCING OLD TABLE AS earlier NEW TABLE AS later
    FOR EACH STATEMENT EXECUTE FUNCTION count_queue();

GRANT SELECT ON tasks, task_dependencies, task_transitions, queue_counts, queue_samples
    TO runcast_request;
GRANT SELECT, INSERT, UPDATE, DELETE ON tasks, task_dependencies TO runcast_log;
GRANT SELECT, INSERT ON task_transitions TO runcast_log;
GRANT SELECT ON queue_counts TO runcast_log;
GRANT SELECT, INSERT, DELETE ON queue_samples TO runcast_log;
GRANT INSERT ON tombstones TO runcast_log;

SELECT guard_project_table('tasks');
SELECT guard_project_table('task_dependencies');
SELECT guard_project_table('task_transitions');
SELECT guard_project_table('queue_counts');
ALTER TABLE queue_samples ENABLE ROW LEVEL SECURITY;
CREATE POLICY admins ON queue_samples FOR SELECT TO runcast_request USING ((SELECT acting_is_admin()));
CREATE POLICY event_log ON queue_samples TO runcast_log USING (true) WITH CHECK (true);

-- migrate:down
REVOKE INSERT ON tombstones FROM runcast_log;
DROP TABLE queue_samples, queue_counts, task_transitions, task_dependencies, tasks;
DROP FUNCTION count_queue;
