-- migrate:up

-- The one append-only log. A row is a segment: consecutive events of one run and kind, committed together
-- (or merged later), whose body holds the records without their numbers (see
-- shared/runcast_server/eventlog/segments.py, which says what a record is). A log line's segment has line
-- numbers; of all others `first_line` is null. No foreign keys.
CREATE TABLE segments (
    project_id uuid NOT NULL,
    run_id uuid,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    at timestamptz NOT NULL,
    first_line bigint,
    last_line bigint,
    count integer NOT NULL CHECK (count > 0),
    size integer NOT NULL,
    codec smallint NOT NULL,
    levels smallint,
    agents text[],
    pieces bytea,
    body bytea NOT NULL,
    PRIMARY KEY (project_id, last_seq, at)
) PARTITION BY RANGE (at);
ALTER TABLE segments ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX segments_without_logs ON segments (project_id, last_seq) WHERE first_line IS NULL;
CREATE INDEX segments_of_run ON segments (run_id, last_seq) WHERE first_line IS NULL AND run_id IS NOT NULL;
CREATE INDEX segments_lines ON segments (run_id, last_line) WHERE first_line IS NOT NULL;
CREATE INDEX segments_lines_by_number ON segments (run_id, last_seq) WHERE first_line IS NOT NULL;
CREATE INDEX segments_merged ON segments (project_id, last_seq) WHERE pieces IS NOT NULL;
COMMENT ON COLUMN segments.at IS
    'When it was committed; of a merged segment, when the last of it was. Never decreases with last_seq.';
COMMENT ON COLUMN segments.size IS 'Bytes of the records, before they were compressed.';
COMMENT ON COLUMN segments.codec IS '0: the records as they are; 1: zstd.';
COMMENT ON COLUMN segments.levels IS 'A bit for each level that its lines have; null: not known.';
COMMENT ON COLUMN segments.agents IS 'The agents that its lines name; null: not known.';
COMMENT ON COLUMN segments.pieces IS
    'Of a merged segment: how its lines are numbered, and when each was committed.';
SELECT guard_project_table('segments', 'run_id');

-- In which months (UTC) a project and a run have segments: a reader names the partitions that it needs, so
-- that a page costs the same with ten years of them.
CREATE TABLE segment_months (
    project_id uuid NOT NULL,
    month date NOT NULL,
    first_seq bigint NOT NULL,
    PRIMARY KEY (project_id, month)
);
SELECT guard_project_table('segment_months');
ALTER TABLE runs ADD COLUMN first_month date, ADD COLUMN last_month date;

-- Numbers segments and stores them: the only statement that takes numbers, and the last one of its
-- transaction. Locks come in the one order: runs by id, then counters by id.
--
-- Element n of the arrays is segment n. A segment of lines (`are_lines`) without a `from_line` gets the next
-- line numbers of its run here; one with it had them taken in this transaction. `agents` are separated by
-- line feeds. A segment whose run or project is gone is left out of the answer, and not stored.
CREATE FUNCTION take_numbers(
    of_projects uuid[], of_runs uuid[], are_lines boolean[], from_lines bigint[], counts integer[],
    sizes integer[], codecs smallint[], levels smallint[], agents text[], bodies bytea[]
) RETURNS TABLE (place bigint, history bigint, first_number bigint, first_line_number bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    RETURN QUERY
    WITH given AS (
        SELECT * FROM unnest(of_projects, of_runs, are_lines, from_lines, counts, sizes, codecs, levels, agents, bodies)
            WITH ORDINALITY AS g (project_id, run_id, is_line, from_line, count, size, codec, level, agent, body, n)
    ), locked AS (
        SELECT r.id, w.total FROM runs r JOIN (
            SELECT g.run_id, g.project_id, sum(g.count) AS total FROM given g
            WHERE g.is_line AND g.from_line IS NULL GROUP BY g.run_id, g.project_id
        ) w ON r.id = w.run_id AND r.project_id = w.project_id
        WHERE EXISTS (SELECT FROM project_counters c WHERE c.project_id = w.project_id)
        ORDER BY r.id FOR NO KEY UPDATE OF r
    ), moved AS (
        UPDATE runs r
        SET last_line_number = r.last_line_number + l.total, heard_at = greatest(r.heard_at, clock_timestamp())
        FROM locked l WHERE r.id = l.id
        RETURNING r.id, r.last_line_number - l.total AS base
    ), kept AS (
        SELECT g.*, CASE
            WHEN NOT g.is_line THEN NULL
            WHEN g.from_line IS NOT NULL THEN g.from_line
            ELSE m.base + 1 - g.count + sum(g.count) FILTER (WHERE g.from_line IS NULL)
                OVER (PARTITION BY g.run_id, g.is_line ORDER BY g.n)
        END::bigint AS line, sum(g.count) OVER (PARTITION BY g.project_id ORDER BY g.n) - g.count AS before
        FROM given g LEFT JOIN moved m ON m.id = g.run_id
        WHERE NOT g.is_line OR g.from_line IS NOT NULL OR m.id IS NOT NULL
    ), counted AS (
        SELECT c.project_id, w.total FROM project_counters c
        JOIN (SELECT k.project_id, sum(k.count) AS total FROM kept k GROUP BY k.project_id) w USING (project_id)
        ORDER BY c.project_id FOR UPDATE OF c
    ), taken AS (
        UPDATE project_counters c
        SET last_seq = c.last_seq + w.total, last_at = greatest(clock_timestamp(), c.last_at)
        FROM counted w WHERE c.project_id = w.project_id
        RETURNING c.project_id, c.epoch, c.last_seq - w.total AS base, c.last_at
    ), begun AS (
        INSERT INTO segment_months (project_id, month, first_seq)
        SELECT t.project_id, m.month, t.base + 1
        FROM taken t, LATERAL (SELECT date_trunc('month', t.last_at AT TIME ZONE 'UTC')::date AS month) m
        WHERE NOT EXISTS (
            SELECT FROM segment_months s WHERE s.project_id = t.project_id AND s.month = m.month)
    ), stored AS (
        INSERT INTO segments (project_id, run_id, first_seq, last_seq, at, first_line, last_line, count, size,
                              codec, levels, agents, body)
        SELECT k.project_id, k.run_id, t.base + k.before + 1, t.base + k.before + k.count, t.last_at, k.line,
               k.line + k.count - 1, k.count, k.size, k.codec, k.level,
               string_to_array(k.agent, E'\n'), k.body
        FROM kept k JOIN taken t USING (project_id)
    )
    SELECT k.n, t.epoch, (t.base + k.before + 1)::bigint, k.line FROM kept k JOIN taken t USING (project_id);

    UPDATE runs r SET first_month = coalesce(r.first_month, m.month), last_month = m.month
    FROM project_counters c, LATERAL (SELECT date_trunc('month', c.last_at AT TIME ZONE 'UTC')::date AS month) m
    WHERE r.id = ANY (of_runs) AND c.project_id = r.project_id AND r.last_month IS DISTINCT FROM m.month;
END
$$;

-- Nothing but new lines of known sources, in one statement and by itself a transaction.
--
-- The ingest cursor, where one is named, is compared and swapped (not where the caller believes: it leads no
-- longer, and gets no row), then the sources. Where one of them isn't where its message begins, somebody else
-- was first, or the message overlaps or jumps: 40001, and nothing is changed.
CREATE FUNCTION take_lines(
    of_stream text, of_epoch bigint, from_id text, to_id text,
    source_runs uuid[], source_names text[], generations integer[], begin_lines bigint[], end_lines bigint[],
    begin_offsets bigint[], end_offsets bigint[], files text[],
    of_projects uuid[], of_runs uuid[], are_lines boolean[], from_lines bigint[], counts integer[],
    sizes integer[], codecs smallint[], levels smallint[], agents text[], bodies bytea[]
) RETURNS TABLE (place bigint, history bigint, first_number bigint, first_line_number bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    moved bigint;
BEGIN
    IF of_stream IS NOT NULL THEN
        PERFORM FROM ingest_cursor c WHERE c.stream = of_stream FOR UPDATE;
        UPDATE ingest_cursor c SET last_id = to_id, updated_at = clock_timestamp()
        WHERE c.stream = of_stream AND c.stream_epoch = of_epoch AND c.last_id = from_id;
        IF NOT FOUND THEN
            RETURN;
        END IF;
    END IF;
    IF cardinality(source_runs) > 1 THEN
        PERFORM FROM log_sources s JOIN unnest(source_runs, source_names) AS n (run_id, source)
            USING (run_id, source)
        ORDER BY s.run_id, s.source FOR UPDATE OF s;
    END IF;
    UPDATE log_sources s
    SET next_line = n.end_line, next_offset = n.end_offset, lines = s.lines + n.end_line - n.begin_line,
        bytes = s.bytes + greatest(n.end_offset - n.begin_offset, 0), file = coalesce(n.file::json, s.file),
        updated_at = clock_timestamp()
    FROM unnest(source_runs, source_names, generations, begin_lines, end_lines, begin_offsets, end_offsets, files)
        AS n (run_id, source, generation, begin_line, end_line, begin_offset, end_offset, file)
    WHERE s.run_id = n.run_id AND s.source = n.source AND s.generation = n.generation
      AND s.next_line = n.begin_line AND s.next_offset = n.begin_offset
      AND s.closed_reason IS NULL AND s.bytes_after_end = 0;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(source_runs) THEN
        RAISE serialization_failure USING MESSAGE = 'a source of lines has moved';
    END IF;
    RETURN QUERY SELECT * FROM take_numbers(of_projects, of_runs, are_lines, from_lines, counts, sizes, codecs,
                                            levels, agents, bodies);
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(counts) THEN
        RAISE serialization_failure USING MESSAGE = 'a run is gone';
    END IF;
END
$$;
DROP FUNCTION take_lines(text, bigint, text, text, uuid[], text[], integer[], bigint[], bigint[], bigint[],
                         bigint[], text[], uuid[], bigint[], bigint[], uuid, bigint, uuid[], bigint[], bigint[],
                         text[]);
REVOKE ALL ON FUNCTION take_numbers, take_lines FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_numbers, take_lines TO runcast_log;

-- The name of the partition of a moment.
CREATE FUNCTION partition_of(parent regclass, moment timestamptz) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, public SET timezone = 'UTC' AS $$
    SELECT format('%s_%s', parent,
                  to_char(moment, CASE parent::text WHEN 'segments' THEN 'YYYYMM' ELSE 'YYYYMMDD' END))
$$;

-- How long a partition of a table is: of segments a month, of runtime events a day.
CREATE FUNCTION partition_unit(parent regclass) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public AS $$
BEGIN
    IF parent::text = 'segments' THEN RETURN 'month'; END IF;
    IF parent::text = 'runtime_events' THEN RETURN 'day'; END IF;
    RAISE EXCEPTION 'not a table with partitions by time: %', parent;
END
$$;

-- Makes the partition of a moment, unless it is there. It is made apart and then attached, which lets readers and
-- writers of the parent go on.
CREATE FUNCTION make_partition(parent regclass, moment timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET timezone = 'UTC' AS $$
DECLARE
    unit text := partition_unit(parent);
    begins timestamptz := date_trunc(unit, moment);
    partition_name text := partition_of(parent, moment);
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
    IF to_regclass(format('public.%I', partition_name)) IS NOT NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', partition_name, parent::text);
    EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                   parent::text, partition_name, begins, begins + ('1 ' || unit)::interval);
    RETURN 1;
END
$$;

-- Makes the partitions of a table from yesterday to `days_ahead` days from now (UTC).
CREATE OR REPLACE FUNCTION make_partitions(parent regclass, days_ahead integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public SET timezone = 'UTC' AS $$
    SELECT coalesce(sum(make_partition(parent, begins)), 0)::integer
    FROM generate_series(date_trunc(partition_unit(parent), clock_timestamp() - interval '1 day'),
                         date_trunc(partition_unit(parent), clock_timestamp() + make_interval(days => days_ahead)),
                         ('1 ' || partition_unit(parent))::interval) AS begins
$$;

CREATE OR REPLACE FUNCTION has_partition(parent regclass, moment timestamptz) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public SET timezone = 'UTC' AS $$
    SELECT to_regclass(format('public.%I', partition_of(parent, moment))) IS NOT NULL
$$;

REVOKE ALL ON FUNCTION make_partition FROM PUBLIC;
GRANT SELECT ON segments, segment_months TO runcast_request;
GRANT SELECT, INSERT ON segments, segment_months TO runcast_log;

SELECT make_partitions('segments', 40);

-- As before, with segments in place of events.
CREATE OR REPLACE FUNCTION purge_project(project uuid, batch integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    gone integer;
BEGIN
    IF NOT EXISTS (SELECT FROM projects WHERE id = project AND deleted_at IS NOT NULL) THEN
        RAISE EXCEPTION 'project % is not deleted', project;
    END IF;
    DELETE FROM segments WHERE (project_id, last_seq, at) IN (
        SELECT s.project_id, s.last_seq, s.at FROM segments s WHERE s.project_id = project LIMIT batch);
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN RETURN gone; END IF;
    WITH chosen AS (
        DELETE FROM artifacts WHERE id IN (
            SELECT a.id FROM artifacts a WHERE a.project_id = project LIMIT batch) RETURNING id)
    INSERT INTO tombstones SELECT id FROM chosen ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN RETURN gone; END IF;
    DELETE FROM log_sources WHERE (run_id, source) IN (
        SELECT s.run_id, s.source FROM log_sources s WHERE s.project_id = project LIMIT batch);
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN RETURN gone; END IF;
    WITH chosen AS (
        DELETE FROM tasks WHERE id IN (
            SELECT t.id FROM tasks t WHERE t.project_id = project
            ORDER BY t.parent_id NULLS LAST LIMIT batch) RETURNING id)
    INSERT INTO tombstones SELECT id FROM chosen ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN RETURN gone; END IF;
    DELETE FROM segment_months WHERE project_id = project;
    DELETE FROM share_links WHERE project_id = project;
    DELETE FROM stream_tickets WHERE project_id = project;
    DELETE FROM invitations WHERE project_id = project;
    DELETE FROM queue_counts WHERE project_id = project;
    UPDATE runs SET retry_of = NULL WHERE project_id = project AND retry_of IS NOT NULL;
    WITH chosen AS (
        DELETE FROM runs WHERE id IN (
            SELECT r.id FROM runs r WHERE r.project_id = project LIMIT batch) RETURNING id)
    INSERT INTO tombstones SELECT id FROM chosen ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN RETURN gone; END IF;
    DELETE FROM project_members WHERE project_id = project;
    DELETE FROM api_keys WHERE project_id = project;
    UPDATE projects SET purged_at = clock_timestamp() WHERE id = project;
    RETURN 0;
END
$$;

-- Events that are stored as they are, a row each, for whoever looks with psql: all that isn't a log line, unless
-- it is large, and lines that came alone. (Compressed lines leave by export.)
ALTER TABLE events RENAME TO events_to_convert;
CREATE VIEW events WITH (security_invoker = true) AS
SELECT s.project_id, s.first_seq + r.place - 1 AS seq, s.at,
       CASE WHEN s.first_line IS NULL THEN split_part(r.record, ' ', 1) ELSE 'agent:log' END AS type,
       s.run_id, s.first_line + r.place - 1 AS line_number,
       (CASE WHEN s.first_line IS NULL THEN substr(r.record, strpos(r.record, ' ') + 1)
             ELSE format('{"run_id":"%s","line_number":%s,%s', s.run_id, s.first_line + r.place - 1, r.record)
        END)::json AS data
FROM segments s, string_to_table(convert_from(s.body, 'UTF8'), E'\n') WITH ORDINALITY AS r (record, place)
WHERE s.codec = 0 AND s.pieces IS NULL;
GRANT SELECT ON events TO runcast_request, runcast_log;

-- What version 0.1 stored is converted afterwards, in steps (eventlog/conversion.py). Where nothing is stored
-- there is nothing to convert.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM events_to_convert) THEN
        DROP TABLE events_to_convert;
    ELSE
        CREATE TABLE conversion (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            project_id uuid,
            upto_seq bigint
        );
        INSERT INTO conversion DEFAULT VALUES;
    END IF;
END
$$;

-- migrate:down
