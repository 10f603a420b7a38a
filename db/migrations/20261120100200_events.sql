-- migrate:up

-- The one append-only log. `data` is json, not jsonb: a replay is byte for byte the live frame.
-- No foreign keys (they cost 40 % of the insert rate). A log line is a row with a line_number.
CREATE TABLE events (
    project_id uuid NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    type text NOT NULL,
    run_id uuid,
    line_number bigint,
    data json NOT NULL,
    PRIMARY KEY (project_id, seq, at)
) PARTITION BY RANGE (at);
CREATE INDEX events_without_logs ON events (project_id, seq) WHERE line_number IS NULL;
CREATE INDEX events_of_run ON events (run_id, seq) WHERE line_number IS NULL AND run_id IS NOT NULL;
CREATE INDEX events_lines ON events (run_id, line_number) WHERE line_number IS NOT NULL;

-- Makes the daily partitions of a table from yesterday to `days_ahead` days from now (UTC). Each is made
-- apart and then attached, which lets readers and writers of the parent go on.
CREATE FUNCTION make_partitions(parent regclass, days_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET timezone = 'UTC' AS $$
DECLARE
    first_day timestamptz;
    partition_name text;
    made integer := 0;
BEGIN
    IF parent::text <> 'events' AND parent::text <> 'runtime_events' THEN
        RAISE EXCEPTION 'not a table with daily partitions: %', parent;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
    FOR first_day IN
        SELECT generate_series(date_trunc('day', clock_timestamp()) - interval '1 day',
                               date_trunc('day', clock_timestamp()) + make_interval(days => days_ahead),
                               interval '1 day')
    LOOP
        partition_name := format('%s_%s', parent, to_char(first_day, 'YYYYMMDD'));
        IF to_regclass(format('public.%I', partition_name)) IS NULL THEN
            EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', partition_name, parent::text);
            EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                           parent::text, partition_name, first_day, first_day + interval '1 day');
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$$;

-- Whether the partition of a moment exists.
CREATE FUNCTION has_partition(parent regclass, moment timestamptz) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public SET timezone = 'UTC' AS $$
    SELECT to_regclass(format('public.%I', format('%s_%s', parent, to_char(moment, 'YYYYMMDD')))) IS NOT NULL
$$;

-- Drops the partitions whose last moment is older than `keep`. Before events go, every project that had
-- some of them gets its floor: the highest number that can no longer be read.
CREATE FUNCTION drop_partitions(parent regclass, keep interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET timezone = 'UTC' AS $$
DECLARE
    partition_name text;
    dropped integer := 0;
BEGIN
    IF parent::text <> 'events' AND parent::text <> 'runtime_events' THEN
        RAISE EXCEPTION 'not a table with daily partitions: %', parent;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
    FOR partition_name IN
        SELECT child.relname
        FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = parent
          AND to_date(right(child.relname, 8), 'YYYYMMDD') + 1 <= clock_timestamp() - keep
        ORDER BY child.relname
    LOOP
        IF parent::text = 'events' THEN
            EXECUTE format(
                'UPDATE project_counters c SET floor_seq = dropped.seq
                 FROM (SELECT c.project_id, latest.seq FROM project_counters c, LATERAL (
                           SELECT seq FROM public.%I e WHERE e.project_id = c.project_id
                           ORDER BY seq DESC LIMIT 1) latest) dropped
                 WHERE c.project_id = dropped.project_id AND c.floor_seq < dropped.seq', partition_name);
        END IF;
        EXECUTE format('DROP TABLE public.%I', partition_name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

-- Ends our own sessions that sit in an open transaction waiting for a client that was stopped: a process
-- stopped in the middle of sending data holds its locks beyond every time-out that Postgres has.
CREATE FUNCTION end_stuck_sessions(older_than interval) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT count(pg_terminate_backend(pid))::integer FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND application_name LIKE 'runcast%'
      AND wait_event_type = 'Client' AND wait_event = 'ClientRead'
      AND state IN ('active', 'idle in transaction', 'idle in transaction (aborted)')
      AND xact_start < clock_timestamp() - older_than
$$;

REVOKE ALL ON FUNCTION make_partitions, drop_partitions, end_stuck_sessions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_partitions, drop_partitions, end_stuck_sessions TO runcast_log;
GRANT SELECT ON events TO runcast_request;
GRANT SELECT, INSERT ON events TO runcast_log;

SELECT make_partitions('events', 7);

-- migrate:down
DROP FUNCTION end_stuck_sessions, drop_partitions, has_partition, make_partitions;
DROP TABLE events;
