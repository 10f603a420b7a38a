-- migrate:up

-- Overwriting what was stored, as before, in segments. Their numbers stay.
DROP FUNCTION overwrite_events;

-- The segments that hold lines of a run, locked against being merged or deleted meanwhile.
CREATE FUNCTION lock_lines(run uuid, from_line bigint, to_line bigint) RETURNS SETOF segments
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT * FROM segments
    WHERE run_id = run AND first_line IS NOT NULL AND last_line >= from_line AND first_line <= to_line
    ORDER BY last_line FOR UPDATE
$$;

-- Gives a segment other records, as many as it had.
CREATE FUNCTION overwrite_segment(
    project uuid, number bigint, moment timestamptz, new_codec smallint, new_size integer, new_body bytea
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    UPDATE segments SET codec = new_codec, size = new_size, body = new_body
    WHERE project_id = project AND last_seq = number AND at = moment
$$;

-- Empties the next segments of a deleted run; false when none is left.
CREATE OR REPLACE FUNCTION erase_events(run uuid, batch integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    known erased_runs;
BEGIN
    SELECT * INTO known FROM erased_runs WHERE run_id = run FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF known.next_line = 1 THEN
        UPDATE segments s SET codec = 0, size = octet_length(e.body), body = e.body
        FROM segments t, LATERAL (SELECT format('deleted {"run_id":"%s"}', run) AS record) r,
             LATERAL (SELECT convert_to(repeat(r.record || E'\n', t.count - 1) || r.record, 'UTF8') AS body) e
        WHERE t.run_id = run AND t.first_line IS NULL
          AND s.project_id = t.project_id AND s.last_seq = t.last_seq AND s.at = t.at;
    END IF;
    UPDATE segments s
    SET codec = 0, size = octet_length(e.body), body = e.body, levels = 128, agents = '{}'
    FROM segments t,
         LATERAL (SELECT format('"line":"","ts":"%s","source":"deleted"}',
                      to_char(t.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) AS record) r,
         LATERAL (SELECT convert_to(repeat(r.record || E'\n', t.count - 1) || r.record, 'UTF8') AS body) e
    WHERE t.run_id = run AND t.first_line IS NOT NULL
      AND t.last_line >= known.next_line AND t.first_line < known.next_line + batch
      AND s.project_id = t.project_id AND s.last_seq = t.last_seq AND s.at = t.at;
    IF known.next_line + batch > known.last_line THEN
        DELETE FROM erased_runs WHERE run_id = run;
        RETURN false;
    END IF;
    UPDATE erased_runs SET next_line = known.next_line + batch WHERE run_id = run;
    RETURN true;
END
$$;

REVOKE ALL ON FUNCTION lock_lines, overwrite_segment FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_lines, overwrite_segment TO runcast_log;

-- migrate:down
