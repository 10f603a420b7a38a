-- migrate:up

-- Merging replaces rows of `segments` by others, erasing and purging change what they find. A statement that began
-- before a merge was committed sees neither the rows that are gone nor the one that came, and would leave
-- what it should have erased. So they exclude each other, by a lock of the project that each takes in a
-- statement of its own, before the one that reads.
CREATE FUNCTION segments_lock(project uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT hashtextextended('segments of ' || project::text, 0)
$$;

-- Waits for whatever else changes a project's segments, and keeps its size from being counted until the end of
-- the transaction. The locks come in the order of `merge_segments`.
CREATE FUNCTION lock_segments(project uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(segments_lock(project));
    -- A row that isn't there couldn't be locked, and would come with the old sizes.
    INSERT INTO project_storage (project_id, epoch)
    SELECT c.project_id, c.epoch FROM project_counters c JOIN projects p ON p.id = c.project_id
    WHERE c.project_id = project AND p.deleted_at IS NULL ON CONFLICT DO NOTHING;
    PERFORM FROM project_storage WHERE project_id = project FOR UPDATE;
END
$$;

-- The segments that hold lines of a run, locked against being merged or deleted meanwhile.
CREATE OR REPLACE FUNCTION lock_lines(run uuid, from_line bigint, to_line bigint) RETURNS SETOF segments
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM lock_segments(r.project_id) FROM runs r WHERE r.id = run;
    RETURN QUERY
    SELECT s.* FROM segments s
    WHERE s.run_id = run AND s.first_line IS NOT NULL AND s.last_line >= from_line AND s.first_line <= to_line
    ORDER BY s.last_line FOR UPDATE;
END
$$;

-- Gives segments other records, each as many as it had, and corrects the project's size where they are counted.
DROP FUNCTION overwrite_segment;
CREATE FUNCTION overwrite_segments(
    project uuid, numbers bigint[], moments timestamptz[], codecs smallint[], sizes integer[], bodies bytea[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    counted_upto bigint;
    more bigint;
BEGIN
    PERFORM lock_segments(project);
    SELECT upto_seq INTO counted_upto FROM project_storage WHERE project_id = project;
    WITH overwritten AS (
        UPDATE segments s SET codec = n.codec, size = n.size, body = n.body
        FROM unnest(numbers, moments, codecs, sizes, bodies) AS n (number, moment, codec, size, body)
        JOIN segments t ON t.project_id = project AND t.last_seq = n.number AND t.at = n.moment
        WHERE s.project_id = project AND s.last_seq = n.number AND s.at = n.moment
        RETURNING s.last_seq, octet_length(s.body) - octet_length(t.body) AS more
    )
    SELECT sum(o.more) INTO more FROM overwritten o WHERE o.last_seq <= counted_upto;
    UPDATE project_storage SET bytes = bytes + more WHERE project_id = project AND more IS NOT NULL;
END
$$;

-- Events of a deleted run that aren't lines are emptied first, those above `next_seq`; null: all are.
ALTER TABLE erased_runs ADD COLUMN next_seq bigint DEFAULT 0;

-- Empties the next segments of a deleted run, and corrects the project's size; false when none is left. `batch`
-- is how many lines, or a tenth of it how many segments of other events.
CREATE OR REPLACE FUNCTION erase_events(run uuid, batch integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    known erased_runs;
    counted_upto bigint;
    more bigint;
    reach bigint;
BEGIN
    SELECT * INTO known FROM erased_runs WHERE run_id = run FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM lock_segments(known.project_id);
    SELECT coalesce(max(upto_seq), 0) INTO counted_upto FROM project_storage WHERE project_id = known.project_id;
    IF known.next_seq IS NOT NULL THEN
        SELECT max(c.last_seq) INTO reach FROM (
            SELECT s.last_seq FROM segments s
            WHERE s.run_id = run AND s.first_line IS NULL AND s.last_seq > known.next_seq
            ORDER BY s.last_seq LIMIT greatest(1, batch / 10)) c;
        WITH emptied AS (
            UPDATE segments s SET codec = 0, size = octet_length(e.body), body = e.body
            FROM segments t, LATERAL (SELECT format('deleted {"run_id":"%s"}', run) AS record) r,
                 LATERAL (SELECT convert_to(repeat(r.record || E'\n', t.count - 1) || r.record, 'UTF8') AS body) e
            WHERE t.run_id = run AND t.first_line IS NULL AND t.last_seq > known.next_seq AND t.last_seq <= reach
              AND s.project_id = t.project_id AND s.last_seq = t.last_seq AND s.at = t.at
            RETURNING s.last_seq, octet_length(s.body) - octet_length(t.body) AS more
        )
        SELECT sum(e.more) INTO more FROM emptied e WHERE e.last_seq <= counted_upto;
        UPDATE erased_runs SET next_seq = reach WHERE run_id = run;
    ELSE
        WITH emptied AS (
            UPDATE segments s
            SET codec = 0, size = octet_length(e.body), body = e.body, levels = 128, agents = '{}'
            FROM segments t,
                 LATERAL (SELECT format('"line":"","ts":"%s","source":"deleted"}',
                              to_char(t.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) AS record) r,
                 LATERAL (SELECT convert_to(repeat(r.record || E'\n', t.count - 1) || r.record, 'UTF8') AS body) e
            WHERE t.run_id = run AND t.first_line IS NOT NULL
              AND t.last_line >= known.next_line AND t.first_line < known.next_line + batch
              AND s.project_id = t.project_id AND s.last_seq = t.last_seq AND s.at = t.at
            RETURNING s.last_seq, octet_length(s.body) - octet_length(t.body) AS more
        )
        SELECT sum(e.more) INTO more FROM emptied e WHERE e.last_seq <= counted_upto;
        UPDATE erased_runs SET next_line = known.next_line + batch WHERE run_id = run;
    END IF;
    UPDATE project_storage SET bytes = bytes + more WHERE project_id = known.project_id AND more IS NOT NULL;
    IF known.next_seq IS NULL AND known.next_line + batch > known.last_line THEN
        DELETE FROM erased_runs WHERE run_id = run;
        RETURN false;
    END IF;
    RETURN true;
END
$$;

-- As before, with the lock.
CREATE OR REPLACE FUNCTION merge_segments(
    project uuid, run uuid, in_this_month date, last_seqs bigint[], versions text[], new_first_seq bigint,
    new_first_line bigint, new_count integer, new_size integer, new_codec smallint, new_levels smallint,
    new_agents text[], new_pieces bytea, new_body bytea
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    known project_storage;
    number_locked bigint;
    old record;
BEGIN
    -- Only tried: what is being erased is left for another time.
    IF NOT pg_try_advisory_xact_lock(segments_lock(project)) THEN
        RAISE serialization_failure USING MESSAGE = 'segments of the project are being changed';
    END IF;
    SELECT * INTO known FROM project_storage WHERE project_id = project FOR UPDATE;
    IF FOUND AND known.upto_seq < last_seqs[cardinality(last_seqs)] THEN
        RETURN false;
    END IF;
    EXECUTE format(
        'SELECT count(*) FROM (SELECT FROM segments WHERE project_id = $1 AND last_seq = ANY ($2) AND %s
                               FOR UPDATE SKIP LOCKED) locked', in_month(in_this_month))
    INTO number_locked USING project, last_seqs;
    IF number_locked <> cardinality(last_seqs) THEN
        RAISE serialization_failure USING MESSAGE = 'a segment is being changed';
    END IF;
    EXECUTE format(
        'WITH deleted AS (
             DELETE FROM segments WHERE project_id = $1 AND last_seq = ANY ($2) AND run_id = $3
                 AND first_line IS NOT NULL AND %s
             RETURNING first_seq, last_seq, first_line, last_line, count, at, octet_length(body) AS bytes,
                       xmin::text AS version
         )
         SELECT array_agg(version ORDER BY last_seq) AS versions, min(first_seq) AS first_seq,
                max(last_seq) AS last_seq, min(first_line) AS first_line, max(last_line) AS last_line,
                sum(count) AS count, max(at) AS at, sum(bytes) AS bytes FROM deleted',
        in_month(in_this_month)) INTO old USING project, last_seqs, run;
    IF (old.versions, old.first_seq, old.first_line, old.last_line, old.count) IS DISTINCT FROM
       (versions, new_first_seq, new_first_line, new_first_line + new_count - 1, new_count::bigint) THEN
        RAISE serialization_failure USING MESSAGE = 'the segments have changed';
    END IF;
    INSERT INTO segments (project_id, run_id, first_seq, last_seq, at, first_line, last_line, count, size, codec,
                          levels, agents, pieces, body)
    VALUES (project, run, old.first_seq, old.last_seq, old.at, old.first_line, old.last_line, new_count, new_size,
            new_codec, new_levels, new_agents, new_pieces, new_body);
    UPDATE project_storage SET bytes = bytes - old.bytes + octet_length(new_body) WHERE project_id = project;
    RETURN true;
END
$$;

-- As before, with the lock.
CREATE OR REPLACE FUNCTION purge_project(project uuid, batch integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    gone integer;
BEGIN
    IF NOT EXISTS (SELECT FROM projects WHERE id = project AND deleted_at IS NOT NULL) THEN
        RAISE EXCEPTION 'project % is not deleted', project;
    END IF;
    PERFORM lock_segments(project);
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

REVOKE ALL ON FUNCTION segments_lock, lock_segments, overwrite_segments FROM PUBLIC;
GRANT EXECUTE ON FUNCTION overwrite_segments TO runcast_log;

-- migrate:down
ALTER TABLE erased_runs DROP COLUMN next_seq;
