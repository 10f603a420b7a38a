-- migrate:up

-- A batch of the ingest stream that holds nothing but new lines of known sources, in one statement: what
-- else takes seven round trips, and holds the counter's lock over two of them.
--
-- It compares and swaps everything that it moves, in the one order of locks: the ingest cursor (none moved:
-- the caller leads no longer, and gets no row), the sources, the runs, the counter. Where a source or a run
-- isn't where the caller believes it to be, somebody else was first: 40001, and nothing is changed. It may be
-- called while the batch before is on its way: it waits for that one's commit before it looks.
-- Element n of `texts` holds the data of consecutive lines of run `line_runs[n]`, one a row, numbered from
-- `line_bases[n]` + 1; `places[n]` is how many lines of the batch come before them.
CREATE FUNCTION take_lines(
    of_stream text, of_epoch bigint, from_id text, to_id text,
    source_runs uuid[], source_names text[], generations integer[], from_lines bigint[], to_lines bigint[],
    from_offsets bigint[], to_offsets bigint[], files text[],
    run_ids uuid[], from_numbers bigint[], to_numbers bigint[],
    of_project uuid, total bigint, line_runs uuid[], line_bases bigint[], places bigint[], texts text[]
) RETURNS TABLE (history bigint, base bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    moved bigint;
    moment timestamptz;
BEGIN
    PERFORM FROM ingest_cursor c WHERE c.stream = of_stream FOR UPDATE;
    UPDATE ingest_cursor c SET last_id = to_id, updated_at = clock_timestamp()
    WHERE c.stream = of_stream AND c.stream_epoch = of_epoch AND c.last_id = from_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    IF cardinality(source_runs) > 1 THEN
        PERFORM FROM log_sources s JOIN unnest(source_runs, source_names) AS n (run_id, source)
            USING (run_id, source)
        ORDER BY s.run_id, s.source FOR UPDATE OF s;
        PERFORM FROM runs r WHERE r.id = ANY (run_ids) ORDER BY r.id FOR NO KEY UPDATE;
    END IF;
    UPDATE log_sources s
    SET next_line = n.to_line, next_offset = n.to_offset, lines = s.lines + n.to_line - n.from_line,
        bytes = s.bytes + greatest(n.to_offset - n.from_offset, 0), file = n.file::json, updated_at = clock_timestamp()
    FROM unnest(source_runs, source_names, generations, from_lines, to_lines, from_offsets, to_offsets, files)
        AS n (run_id, source, generation, from_line, to_line, from_offset, to_offset, file)
    WHERE s.run_id = n.run_id AND s.source = n.source AND s.generation = n.generation
      AND s.next_line = n.from_line AND s.next_offset = n.from_offset
      AND s.closed_reason IS NULL AND s.bytes_after_end = 0;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(source_runs) THEN
        RAISE serialization_failure USING MESSAGE = 'a source of lines has moved';
    END IF;

    UPDATE runs r
    SET last_line_number = n.to_number, heard_at = greatest(r.heard_at, clock_timestamp())
    FROM unnest(run_ids, from_numbers, to_numbers) AS n (id, from_number, to_number)
    WHERE r.id = n.id AND r.project_id = of_project AND r.last_line_number = n.from_number;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(run_ids) THEN
        RAISE serialization_failure USING MESSAGE = 'a run has moved';
    END IF;

    UPDATE project_counters c
    SET last_seq = c.last_seq + total, last_at = greatest(clock_timestamp(), c.last_at)
    WHERE c.project_id = of_project
    RETURNING c.epoch, c.last_seq - total, c.last_at INTO history, base, moment;
    IF NOT FOUND THEN
        RAISE serialization_failure USING MESSAGE = 'the project was deleted';
    END IF;

    INSERT INTO events (project_id, seq, at, type, run_id, line_number, data)
    SELECT of_project, base + n.place + l.n, moment, 'agent:log', n.run_id, n.line_base + l.n, l.data::json
    FROM unnest(line_runs, line_bases, places, texts) AS n (run_id, line_base, place, text),
         string_to_table(n.text, E'\n') WITH ORDINALITY AS l (data, n);
    RETURN NEXT;
END
$$;
REVOKE ALL ON FUNCTION take_lines FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_lines TO runcast_log;

-- migrate:down
DROP FUNCTION take_lines;
