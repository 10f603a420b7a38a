-- migrate:up

-- As before, for segments. What a log takes are the bytes of the bodies as they are stored. Everything is
-- counted from the beginning again.
DELETE FROM project_storage;
DROP FUNCTION drop_empty_partitions;

-- The month in which a project's event of this number lies; before the first that is kept, the first month.
CREATE FUNCTION month_of_number(project uuid, seq bigint) RETURNS date
LANGUAGE sql STABLE SET search_path = pg_catalog, public AS $$
    SELECT coalesce(
        (SELECT max(month) FROM segment_months WHERE project_id = project AND first_seq <= seq),
        (SELECT min(month) FROM segment_months WHERE project_id = project))
$$;

-- The condition, as text, that rows of `segments` lie in a month: with literal bounds Postgres looks at one
-- partition alone.
CREATE FUNCTION in_month(month date, alias text DEFAULT 'segments') RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT format('%1$I.at >= %2$L::timestamptz AND %1$I.at < %3$L::timestamptz', alias, month::text || ' 00:00Z',
                  (month + interval '1 month')::date::text || ' 00:00Z')
$$;

-- Counts at most `batch` more segments of a project, of one month; answers how many, `batch` where there are
-- more. 0: everything is counted, or another process is at it.
CREATE OR REPLACE FUNCTION measure_project(project uuid, batch integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    history project_counters;
    known project_storage;
    month date;
    next_seq bigint;
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
    month := month_of_number(project, known.upto_seq + 1);
    IF month IS NULL THEN RETURN 0; END IF;
    EXECUTE format(
        'SELECT count(*) AS segments, coalesce(sum(count), 0) AS events, max(last_seq) AS upto, min(at) AS oldest,
                coalesce(sum(count) FILTER (WHERE first_line IS NOT NULL), 0) AS lines,
                coalesce(sum(octet_length(body)), 0) AS bytes
         FROM (SELECT * FROM segments WHERE project_id = $1 AND last_seq > $2 AND last_seq <= $3 AND %s
               ORDER BY last_seq LIMIT $4) uncounted', in_month(month))
    INTO new USING project, known.upto_seq, history.last_seq, batch;
    IF new.segments = 0 THEN
        -- The month is counted. Numbers go on in the next one.
        SELECT min(m.first_seq) INTO next_seq FROM segment_months m
        WHERE m.project_id = project AND m.first_seq > known.upto_seq + 1;
        new.upto := coalesce(next_seq - 1, history.last_seq);
    END IF;
    UPDATE project_storage SET upto_seq = new.upto, bytes = bytes + new.bytes, lines = lines + new.lines,
        events = events + new.events, oldest_at = coalesce(oldest_at, new.oldest), measured_at = clock_timestamp()
    WHERE project_id = project;
    RETURN CASE WHEN new.upto < history.last_seq THEN batch ELSE new.segments END;
END
$$;

-- Deletes at most `batch` segments of a project: its oldest, as long as they are older than `older_than`, or the
-- log takes more than `max_bytes`. The floor moves in the same transaction: it is the highest number that was
-- passed; every event above it is in a segment that ends above it. Lines of failed runs that are not older than
-- `failed_older_than` stay below the floor, where a run's log still finds them, until they are, or until their
-- bytes are needed. Looks at one month at a time. Answers how much it passed; 0: nothing is left to do, or
-- another process is at it. A limit that is null is none.
CREATE OR REPLACE FUNCTION drop_oldest(
    project uuid, older_than timestamptz, failed_older_than timestamptz, max_bytes bigint, batch integer
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    known project_storage;
    excess bigint;
    dropped_seq bigint;
    oldest_month date;
    current_month date;
    oldest timestamptz;
    gone record;
    is_empty boolean;
    -- $1 project, $2 floor, $3 counted up to, $4 the age, $5 the excess, $6 the batch, $7 the age of failed runs
    chosen CONSTANT text := 'WITH chosen AS (
        SELECT * FROM (
            SELECT last_seq, at, run_id, first_line, coalesce(sum(octet_length(body)) OVER (
                ORDER BY last_seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS freed
            FROM segments WHERE project_id = $1 AND last_seq %s AND %s ORDER BY last_seq LIMIT $6
        ) near WHERE at < $4 OR freed < $5
    ), deleted AS (
        DELETE FROM segments s USING chosen c
        WHERE s.project_id = $1 AND s.last_seq = c.last_seq AND s.at = c.at AND %s
          AND NOT ($2 IS NOT NULL AND $5 = 0 AND c.first_line IS NOT NULL AND coalesce(c.at >= $7, false)
                   AND EXISTS (SELECT FROM runs r WHERE r.id = c.run_id AND r.status = ''failed''))
        RETURNING s.count, s.first_line, octet_length(s.body) AS size
    )
    SELECT (SELECT count(*) FROM chosen) AS passed, (SELECT max(last_seq) FROM chosen) AS upto,
           coalesce(sum(count), 0) AS events, coalesce(sum(size), 0) AS bytes,
           coalesce(sum(count) FILTER (WHERE first_line IS NOT NULL), 0) AS lines
    FROM deleted';
BEGIN
    SELECT * INTO known FROM project_storage WHERE project_id = project FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN 0; END IF;
    SELECT floor_seq INTO dropped_seq FROM project_counters WHERE project_id = project;
    IF NOT FOUND THEN RETURN 0; END IF;
    SELECT min(month) INTO oldest_month FROM segment_months WHERE project_id = project;
    IF oldest_month IS NULL THEN RETURN 0; END IF;
    excess := greatest(0, coalesce(known.bytes - max_bytes, 0));

    -- What stayed below the floor comes first: it is the oldest.
    EXECUTE format(chosen, '<= $3', in_month(oldest_month), in_month(oldest_month, 's'))
    INTO gone USING project, NULL::bigint, dropped_seq, failed_older_than, excess, batch, NULL::timestamptz;
    IF gone.passed = 0 THEN
        current_month := month_of_number(project, dropped_seq + 1);
        EXECUTE format(chosen, '> $2 AND last_seq <= $3', in_month(current_month), in_month(current_month, 's'))
        INTO gone USING project, dropped_seq, known.upto_seq, older_than, excess, batch, failed_older_than;
    END IF;
    IF gone.passed = 0 THEN
        IF oldest_month >= current_month THEN RETURN 0; END IF;
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM segments WHERE project_id = $1 AND %s)',
                       in_month(oldest_month)) INTO is_empty USING project;
        IF NOT is_empty THEN RETURN 0; END IF;
        DELETE FROM segment_months WHERE project_id = project AND month = oldest_month;
        RETURN 1;
    END IF;

    dropped_seq := greatest(dropped_seq, gone.upto);
    EXECUTE format('SELECT at FROM segments WHERE project_id = $1 AND last_seq > $2 AND %s ORDER BY last_seq LIMIT 1',
                   in_month(month_of_number(project, dropped_seq + 1))) INTO oldest USING project, dropped_seq;
    UPDATE project_storage SET bytes = bytes - gone.bytes, lines = lines - gone.lines,
        events = events - gone.events, oldest_at = oldest
    WHERE project_id = project;
    UPDATE project_counters SET floor_seq = dropped_seq WHERE project_id = project AND floor_seq < dropped_seq;
    RETURN gone.passed;
END
$$;

-- Drops the partitions of months that ended more than a day ago and that retention has emptied.
CREATE FUNCTION drop_empty_partitions() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET timezone = 'UTC' AS $$
DECLARE
    partition_name text;
    is_empty boolean;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
    FOR partition_name IN
        SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'segments'::regclass ORDER BY child.relname
    LOOP
        CONTINUE WHEN to_date(right(partition_name, 6), 'YYYYMM') + interval '1 month 1 day' > clock_timestamp();
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM public.%I)', partition_name) INTO is_empty;
        IF is_empty THEN
            EXECUTE format('DROP TABLE public.%I', partition_name);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END
$$;

REVOKE ALL ON FUNCTION month_of_number, in_month, drop_empty_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION month_of_number, in_month, drop_empty_partitions TO runcast_log;

-- migrate:down
DROP FUNCTION drop_empty_partitions, in_month, month_of_number;
