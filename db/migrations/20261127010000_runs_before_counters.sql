-- migrate:up

-- Every lock of a run is taken before any counter's, also of a run whose month changes: that happens once per
-- run and month, and used to lock the run behind the counter, against everyone who changes a run first and
-- takes numbers afterwards. Which month it will be is known only with the counter. So each run is locked that
-- isn't in the month of a minute from now: more than a turn of the month in between needs, and the update
-- below is right also for a run that was not locked (after a clock that jumped).
--
-- Of two commits that both wait for the counter at the beginning of a month, the second doesn't see the month
-- that the first stored, so it has to pass by it.
CREATE OR REPLACE FUNCTION take_numbers(
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
            SELECT g.run_id, g.project_id,
                   coalesce(sum(g.count) FILTER (WHERE g.is_line AND g.from_line IS NULL), 0) AS total
            FROM given g WHERE g.run_id IS NOT NULL GROUP BY g.run_id, g.project_id
        ) w ON r.id = w.run_id AND r.project_id = w.project_id
        JOIN project_counters c ON c.project_id = w.project_id
        WHERE w.total > 0 OR r.last_month IS DISTINCT FROM date_trunc('month',
            greatest(clock_timestamp() + interval '1 minute', c.last_at) AT TIME ZONE 'UTC')::date
        ORDER BY r.id FOR NO KEY UPDATE OF r
    ), moved AS (
        UPDATE runs r
        SET last_line_number = r.last_line_number + l.total, heard_at = greatest(r.heard_at, clock_timestamp())
        FROM locked l WHERE r.id = l.id AND l.total > 0
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
        ON CONFLICT DO NOTHING
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

-- migrate:down
SELECT 1;
