-- migrate:up

-- What the runtime of agents reports: calls, fallbacks, retries, breakers. Best effort, kept for a while.
-- Partitioned by the reported time, so the key holds it; ids are UUIDv7 of the time of arrival.
CREATE TABLE runtime_events (
    id uuid NOT NULL,
    layer text NOT NULL CHECK (layer IN (
        'provider_runtime', 'tool_runtime', 'model_adapter', 'execution', 'dispatcher', 'worker')),
    operation text NOT NULL CHECK (operation IN (
        'CALL', 'FALLBACK', 'RETRY', 'TOOL_CALL', 'TOOL_LOOP', 'TASK', 'HEARTBEAT', 'BREAKER')),
    reason_code text NOT NULL,
    entity_id text NOT NULL,
    task_id uuid,
    persona_id uuid,
    worker_id text,
    metadata jsonb NOT NULL DEFAULT '{}',
    occurred_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX runtime_events_newest ON runtime_events (occurred_at DESC, id DESC);
CREATE INDEX runtime_events_layer ON runtime_events (layer, occurred_at DESC, id DESC);
CREATE INDEX runtime_events_reason ON runtime_events (reason_code, occurred_at DESC, id DESC);
CREATE INDEX runtime_events_entity ON runtime_events (entity_id, occurred_at DESC, id DESC);
CREATE INDEX runtime_events_task ON runtime_events (task_id, occurred_at DESC, id DESC)
    WHERE task_id IS NOT NULL;
CREATE INDEX runtime_events_worker ON runtime_events (worker_id, occurred_at DESC, id DESC)
    WHERE worker_id IS NOT NULL;
CREATE INDEX runtime_events_route ON runtime_events (worker_id, occurred_at DESC)
    WHERE operation IN ('CALL', 'FALLBACK');
CREATE INDEX runtime_events_arrived ON runtime_events USING brin (created_at)
    WITH (pages_per_range = 64, autosummarize = on);
COMMENT ON INDEX runtime_events_arrived IS 'For who watches live: what has arrived since the last look.';

CREATE TABLE worker_status (
    worker_id text PRIMARY KEY,
    agent_type text NOT NULL,
    status text NOT NULL CHECK (status IN ('RUNNING', 'IDLE', 'DEGRADED', 'STOPPED')),
    circuit_open boolean NOT NULL DEFAULT false,
    circuit_reason text,
    last_heartbeat timestamptz NOT NULL,
    current_task_id uuid,
    metadata jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN worker_status.updated_at IS 'When anything but the heartbeat last changed.';
CREATE INDEX worker_status_by_status ON worker_status (status, updated_at DESC);
CREATE INDEX worker_status_by_circuit ON worker_status (circuit_open, updated_at DESC);
CREATE INDEX worker_status_by_heartbeat ON worker_status (last_heartbeat DESC);

-- Makes the partition of a day in the past, for events that were reported late.
CREATE FUNCTION make_late_partition(moment timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET timezone = 'UTC' AS $$
DECLARE
    first_day timestamptz := date_trunc('day', moment);
    partition_name text := format('runtime_events_%s', to_char(first_day, 'YYYYMMDD'));
BEGIN
    IF moment > clock_timestamp() + interval '2 days' OR moment < clock_timestamp() - interval '1 year' THEN
        RAISE EXCEPTION 'not a time for which a partition is made: %', moment;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
    IF to_regclass(format('public.%I', partition_name)) IS NULL THEN
        EXECUTE format('CREATE TABLE public.%I (LIKE public.runtime_events INCLUDING ALL)', partition_name);
        EXECUTE format('ALTER TABLE public.runtime_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                       partition_name, first_day, first_day + interval '1 day');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION make_late_partition FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_late_partition TO runcast_log;

GRANT SELECT ON runtime_events, worker_status TO runcast_request;
GRANT SELECT, INSERT ON runtime_events TO runcast_log;
GRANT SELECT, INSERT, UPDATE, DELETE ON worker_status TO runcast_log;

ALTER TABLE runtime_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY admins ON runtime_events FOR SELECT TO runcast_request USING ((SELECT acting_is_admin()));
CREATE POLICY event_log ON runtime_events TO runcast_log USING (true) WITH CHECK (true);
ALTER TABLE worker_status ENABLE ROW LEVEL SECURITY;
CREATE POLICY admins ON worker_status FOR SELECT TO runcast_request USING ((SELECT acting_is_admin()));
CREATE POLICY event_log ON worker_status TO runcast_log USING (true) WITH CHECK (true);

SELECT make_partitions('runtime_events', 7);

-- migrate:down
DROP FUNCTION make_late_partition;
DROP TABLE worker_status, runtime_events;
