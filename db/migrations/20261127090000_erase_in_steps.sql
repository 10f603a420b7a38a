-- migrate:up

-- A run may have millions of points: they go in steps, behind the run, and not by a cascade in one statement.
ALTER TABLE run_metrics
    DROP CONSTRAINT run_metrics_run_id_fkey,
    DROP CONSTRAINT run_metrics_project_id_fkey;

-- Deletes the next points of a deleted run; false when none is left.
CREATE FUNCTION erase_metrics(run uuid, batch integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM erased_runs WHERE run_id = run) THEN
        RETURN false;
    END IF;
    DELETE FROM run_metrics WHERE (run_id, name, place) IN (
        SELECT m.run_id, m.name, m.place FROM run_metrics m WHERE m.run_id = run LIMIT batch);
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION erase_metrics FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_metrics TO runcast_log;

-- As before, with the points of some runs before those runs.
CREATE OR REPLACE FUNCTION purge_project(project uuid, batch integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    gone integer;
    picked uuid[];
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
    picked := ARRAY(
        SELECT r.id FROM runs r WHERE r.project_id = project ORDER BY r.id LIMIT greatest(1, batch / 10));
    DELETE FROM run_metrics WHERE (run_id, name, place) IN (
        SELECT m.run_id, m.name, m.place FROM run_metrics m WHERE m.run_id = ANY (picked) LIMIT batch);
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN RETURN gone; END IF;
    WITH chosen AS (
        DELETE FROM runs WHERE id = ANY (picked) RETURNING id)
    INSERT INTO tombstones SELECT id FROM chosen ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN RETURN gone; END IF;
    DELETE FROM project_members WHERE project_id = project;
    DELETE FROM api_keys WHERE project_id = project;
    UPDATE projects SET purged_at = clock_timestamp() WHERE id = project;
    RETURN 0;
END
$$;

-- Contents of deleted artifacts that the artifact store may still hold: they are removed after the commit.
CREATE TABLE erased_objects (
    object_key text PRIMARY KEY,
    project_id uuid NOT NULL
);
CREATE INDEX erased_objects_of_project ON erased_objects (project_id);
ALTER TABLE erased_objects ENABLE ROW LEVEL SECURITY;
CREATE POLICY event_log ON erased_objects TO runcast_log USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON erased_objects TO runcast_log;

-- migrate:down
DROP TABLE erased_objects;
DROP FUNCTION erase_metrics;
DELETE FROM run_metrics WHERE run_id NOT IN (SELECT id FROM runs);
ALTER TABLE run_metrics
    ADD CONSTRAINT run_metrics_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs ON DELETE CASCADE,
    ADD CONSTRAINT run_metrics_project_id_fkey FOREIGN KEY (project_id) REFERENCES projects ON DELETE CASCADE;
