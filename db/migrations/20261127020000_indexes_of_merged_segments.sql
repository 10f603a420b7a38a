-- migrate:up

-- Merged segments have indexes of their own, and no place in those of single ones. Merging then empties whole
-- pages of the latter, which vacuum gives back. In an index of both, an entry of a merged segment stood here and
-- there on the pages of what was merged, and none of these was ever free again: 80 bytes a line.
DROP INDEX segments_lines, segments_lines_by_number;
CREATE INDEX segments_lines ON segments (run_id, last_line) WHERE first_line IS NOT NULL AND pieces IS NULL;
CREATE INDEX segments_lines_by_number ON segments (run_id, last_seq)
    WHERE first_line IS NOT NULL AND pieces IS NULL;
CREATE INDEX segments_merged_lines ON segments (run_id, last_line) WHERE pieces IS NOT NULL;
CREATE INDEX segments_merged_by_number ON segments (run_id, last_seq) WHERE pieces IS NOT NULL;

-- As before: single ones and merged ones each by their index. Looks at the months of the run alone.
CREATE OR REPLACE FUNCTION lock_lines(run uuid, from_line bigint, to_line bigint) RETURNS SETOF segments
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    known record;
    kind text;
BEGIN
    SELECT r.project_id, r.first_month, r.last_month INTO known FROM runs r WHERE r.id = run;
    IF known.first_month IS NULL THEN
        RETURN;
    END IF;
    PERFORM lock_segments(known.project_id);
    FOREACH kind IN ARRAY ARRAY['s.first_line IS NOT NULL AND s.pieces IS NULL', 's.pieces IS NOT NULL'] LOOP
        RETURN QUERY EXECUTE format(
            'SELECT s.* FROM segments s
             WHERE s.run_id = $1 AND %s AND s.last_line >= $2 AND s.first_line <= $3 AND s.at >= %L AND s.at < %L
             ORDER BY s.last_line FOR UPDATE',
            kind, known.first_month::timestamptz, (known.last_month + interval '1 month')::timestamptz)
        USING run, from_line, to_line;
    END LOOP;
END
$$;

-- As before, and looks at the months of the segments alone.
CREATE OR REPLACE FUNCTION overwrite_segments(
    project uuid, numbers bigint[], moments timestamptz[], codecs smallint[], sizes integer[], bodies bytea[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    counted_upto bigint;
    first_at timestamptz;
    last_at timestamptz;
    more bigint;
BEGIN
    PERFORM lock_segments(project);
    SELECT upto_seq INTO counted_upto FROM project_storage WHERE project_id = project;
    SELECT min(m), max(m) INTO first_at, last_at FROM unnest(moments) m;
    EXECUTE format(
        'WITH overwritten AS (
            UPDATE segments s SET codec = n.codec, size = n.size, body = n.body
            FROM unnest($2, $3, $4, $5, $6) AS n (number, moment, codec, size, body)
            JOIN segments t ON t.project_id = $1 AND t.last_seq = n.number AND t.at = n.moment
                AND t.at >= %1$L AND t.at <= %2$L
            WHERE s.project_id = $1 AND s.last_seq = n.number AND s.at = n.moment
                AND s.at >= %1$L AND s.at <= %2$L
            RETURNING s.last_seq, octet_length(s.body) - octet_length(t.body) AS more
        )
        SELECT sum(o.more) FROM overwritten o WHERE o.last_seq <= $7', first_at, last_at)
    INTO more USING project, numbers, moments, codecs, sizes, bodies, counted_upto;
    UPDATE project_storage SET bytes = bytes + more WHERE project_id = project AND more IS NOT NULL;
END
$$;

-- As before: single ones and merged ones each by their index.
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
            FROM (
                    SELECT l.* FROM segments l
                    WHERE l.run_id = run AND l.first_line IS NOT NULL AND l.pieces IS NULL
                      AND l.last_line >= known.next_line AND l.first_line < known.next_line + batch
                    UNION ALL
                    SELECT l.* FROM segments l WHERE l.run_id = run AND l.pieces IS NOT NULL
                      AND l.last_line >= known.next_line AND l.first_line < known.next_line + batch
                 ) t,
                 LATERAL (SELECT format('"line":"","ts":"%s","source":"deleted"}',
                              to_char(t.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) AS record) r,
                 LATERAL (SELECT convert_to(repeat(r.record || E'\n', t.count - 1) || r.record, 'UTF8') AS body) e
            WHERE s.project_id = t.project_id AND s.last_seq = t.last_seq AND s.at = t.at
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

-- migrate:down
