-- migrate:up

-- How far a project's segments were looked at for merging, and when that was.
CREATE TABLE segment_compaction (
    project_id uuid PRIMARY KEY REFERENCES projects,
    upto_seq bigint NOT NULL DEFAULT 0,
    looked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
SELECT guard_project_table('segment_compaction');
GRANT SELECT, INSERT, UPDATE, DELETE ON segment_compaction TO runcast_log;

-- Replaces segments of lines of one run, which lie in one month and follow each other, by one that holds the
-- same lines. `versions` are their `xmin` as the caller read them: where any was changed, is gone or is
-- locked, or the new one doesn't hold what they held, 40001, and nothing is changed. Answers false, having done nothing, where
-- the newest of them isn't counted yet (`measure_project`).
CREATE FUNCTION merge_segments(
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
    SELECT * INTO known FROM project_storage WHERE project_id = project FOR UPDATE;
    IF FOUND AND known.upto_seq < last_seqs[cardinality(last_seqs)] THEN
        RETURN false;
    END IF;
    -- Whoever erases lines locks their segments first; what is being erased is left for another time.
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

-- Rebuilds an index of `segments` of which merging has left little: a B-tree keeps the pages of what was deleted
-- between what stays. Only of a month that ended two hours ago, where nothing is written any more; its readers
-- wait for as long as the rows that are left are read. Answers the index's name, or null where there is none of
-- more than `at_least` bytes and four times what its rows need.
CREATE FUNCTION rebuild_sparse_index(at_least bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC'
SET lock_timeout = '2s' AS $$
DECLARE
    found text;
BEGIN
    SELECT i.indexrelid::regclass::text INTO found
    FROM pg_inherits h JOIN pg_class t ON t.oid = h.inhrelid JOIN pg_index i ON i.indrelid = t.oid
    WHERE h.inhparent = 'segments'::regclass AND t.reltuples >= 0
      AND pg_relation_size(i.indexrelid) > greatest(at_least, 4 * 64 * t.reltuples::bigint)
      AND to_date(right(t.relname, 6), 'YYYYMM') + interval '1 month 2 hours' < clock_timestamp()
    LIMIT 1;
    IF found IS NOT NULL THEN
        EXECUTE format('REINDEX INDEX %s', found);
    END IF;
    RETURN found;
END
$$;

REVOKE ALL ON FUNCTION merge_segments, rebuild_sparse_index FROM PUBLIC;
GRANT EXECUTE ON FUNCTION merge_segments, rebuild_sparse_index TO runcast_log;

-- migrate:down
DROP FUNCTION rebuild_sparse_index, merge_segments;
DROP TABLE segment_compaction;
