-- migrate:up

-- What a project's owner says about how long and how much to keep. Members: retention {days, max_bytes,
-- keep_failed_days}, quota {max_bytes, lines_per_minute}; one that is absent leaves it to the settings.
ALTER TABLE projects
    ADD COLUMN retention jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN quota jsonb NOT NULL DEFAULT '{}';
GRANT UPDATE (retention, quota) ON projects TO runcast_request;

-- What a project's log takes, counted behind the writers: nobody who writes waits for it. Whoever counts or
-- deletes locks the row first, so each event is counted once, and taken away only after it was counted.
CREATE TABLE project_storage (
    project_id uuid PRIMARY KEY REFERENCES projects,
    epoch bigint NOT NULL,
    upto_seq bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    lines bigint NOT NULL DEFAULT 0,
    events bigint NOT NULL DEFAULT 0,
    oldest_at timestamptz,
    measured_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
COMMENT ON COLUMN project_storage.epoch IS 'The history that was counted; another one is counted from its beginning.';
COMMENT ON COLUMN project_storage.upto_seq IS 'Events up to this number are counted.';
COMMENT ON COLUMN project_storage.oldest_at IS 'When the oldest counted event was committed; null where none is kept.';
CREATE INDEX project_storage_oldest ON project_storage (oldest_at);
GRANT SELECT ON project_storage TO runcast_request;
GRANT SELECT, INSERT, UPDATE, DELETE ON project_storage TO runcast_log;
SELECT guard_project_table('project_storage');

-- Counts at most `batch` more events of a project; answers how many. 0: everything is counted, or another
-- process is at it.
CREATE FUNCTION measure_project(project uuid, batch integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    history project_counters;
    known project_storage;
    new record;
BEGIN
    SELECT * INTO history FROM project_counters WHERE project_id = project;
    IF NOT FOUND THEN RETURN 0; END IF;
    INSERT INTO project_storage (project_id, epoch) VALUES (project, history.epoch) ON CONFLICT DO NOTHING;
    SELECT * INTO known FROM project_storage WHERE project_id = project FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN 0; END IF;
    IF known.epoch <> history.epoch OR known.upto_seq > history.last_seq THEN
        UPDATE project_storage SET epoch = history.epoch, upto_seq = 0, bytes = 0, lines = 0, events = 0,
            oldest_at = NULL WHERE project_id = project RETURNING * INTO known;
    END IF;
    SELECT count(*) AS events, count(line_number) AS lines, coalesce(sum(size), 0) AS bytes, max(seq) AS upto,
           min(at) AS oldest INTO new
    FROM (SELECT seq, at, line_number, octet_length(data::text) AS size FROM events
          WHERE project_id = project AND seq > known.upto_seq AND seq <= history.last_seq
          ORDER BY seq LIMIT batch) uncounted;
    UPDATE project_storage SET upto_seq = coalesce(new.upto, history.last_seq), bytes = bytes + new.bytes,
        lines = lines + new.lines, events = events + new.events,
        oldest_at = coalesce(oldest_at, new.oldest), measured_at = clock_timestamp()
    WHERE project_id = project;
    RETURN new.events;
END
$$;

-- Deletes at most `batch` events of a project: its oldest, as long as they are older than `older_than`, or the
-- log takes more than `max_bytes`. The floor moves in the same transaction: it is the highest number that was
-- passed. Lines of failed runs that are not older than `failed_older_than` stay below the floor, where a run's
-- log still finds them, until they are, or until their bytes are needed. Answers how many events it passed; 0:
-- nothing is left to do, or another process is at it. A limit that is null is none.
CREATE FUNCTION drop_oldest(
    project uuid, older_than timestamptz, failed_older_than timestamptz, max_bytes bigint, batch integer
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    known project_storage;
    excess bigint;
    dropped_seq bigint;
    upto bigint;
    gone record;
BEGIN
    SELECT * INTO known FROM project_storage WHERE project_id = project FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN 0; END IF;
    SELECT floor_seq INTO dropped_seq FROM project_counters WHERE project_id = project;
    IF NOT FOUND THEN RETURN 0; END IF;
    excess := greatest(0, coalesce(known.bytes - max_bytes, 0));
    upto := dropped_seq;

    -- What stayed below the floor comes first: it is the oldest.
    WITH chosen AS (
        SELECT seq, at FROM events
        WHERE project_id = project AND seq <= dropped_seq AND (at < failed_older_than OR excess > 0)
        ORDER BY seq LIMIT batch
    ), deleted AS (
        DELETE FROM events e USING chosen c
        WHERE e.project_id = project AND e.seq = c.seq AND e.at = c.at
        RETURNING e.line_number, octet_length(e.data::text) AS size
    )
    SELECT count(*) AS passed, count(*) AS events, count(line_number) AS lines, coalesce(sum(size), 0) AS bytes
    INTO gone FROM deleted;

    IF gone.events = 0 THEN
        SELECT coalesce(max(seq), dropped_seq) INTO upto FROM (
            SELECT seq, at, coalesce(sum(octet_length(data::text)) OVER (
                ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS freed
            FROM events WHERE project_id = project AND seq > dropped_seq AND seq <= known.upto_seq
            ORDER BY seq LIMIT batch
        ) oldest WHERE at < older_than OR freed < excess;
        WITH deleted AS (
            DELETE FROM events e
            WHERE e.project_id = project AND e.seq > dropped_seq AND e.seq <= upto
              AND NOT (excess = 0 AND e.line_number IS NOT NULL AND coalesce(e.at >= failed_older_than, false)
                       AND EXISTS (SELECT FROM runs r WHERE r.id = e.run_id AND r.status = 'failed'))
            RETURNING e.line_number, octet_length(e.data::text) AS size
        )
        SELECT upto - dropped_seq AS passed, count(*) AS events, count(line_number) AS lines,
               coalesce(sum(size), 0) AS bytes
        INTO gone FROM deleted;
    END IF;
    IF gone.passed = 0 THEN RETURN 0; END IF;

    UPDATE project_storage SET bytes = bytes - gone.bytes, lines = lines - gone.lines,
        events = events - gone.events, oldest_at = (
            SELECT at FROM events WHERE project_id = project AND seq > upto ORDER BY seq LIMIT 1)
    WHERE project_id = project;
    UPDATE project_counters SET floor_seq = upto WHERE project_id = project AND floor_seq < upto;
    RETURN gone.passed;
END
$$;

-- Drops the partitions of days that have passed and that retention has emptied.
CREATE FUNCTION drop_empty_partitions(parent regclass) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET timezone = 'UTC' AS $$
DECLARE
    partition_name text;
    is_empty boolean;
    dropped integer := 0;
BEGIN
    IF parent::text <> 'events' THEN
        RAISE EXCEPTION 'not a table whose rows retention deletes: %', parent;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
    FOR partition_name IN
        SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = parent ORDER BY child.relname
    LOOP
        CONTINUE WHEN to_date(right(partition_name, 8), 'YYYYMMDD') + 2 > clock_timestamp();
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM public.%I)', partition_name) INTO is_empty;
        IF is_empty THEN
            EXECUTE format('DROP TABLE public.%I', partition_name);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END
$$;

-- Forgets at most `batch` entries of the audit log that are older than `age`. Nobody else removes what stands
-- there, and nothing of the last 30 days can be removed.
CREATE FUNCTION forget_audit(age interval, batch integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    gone integer;
BEGIN
    IF age < interval '30 days' THEN
        RAISE EXCEPTION 'entries of the last 30 days stay';
    END IF;
    DELETE FROM audit_log WHERE id IN (
        SELECT id FROM audit_log WHERE at < clock_timestamp() - age ORDER BY id LIMIT batch);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;

REVOKE ALL ON FUNCTION measure_project, drop_oldest, drop_empty_partitions, forget_audit FROM PUBLIC;
GRANT EXECUTE ON FUNCTION measure_project, drop_oldest, drop_empty_partitions, forget_audit TO runcast_log;

-- migrate:down
DROP FUNCTION forget_audit, drop_empty_partitions, drop_oldest, measure_project;
DROP TABLE project_storage;
ALTER TABLE projects DROP COLUMN quota, DROP COLUMN retention;
