-- migrate:up

-- A deleted project is marked, loses its counter (so nothing can be numbered in it any more) and is
-- emptied in the background. Its row stays, and so do the ids of what was in it: none is taken again.
ALTER TABLE projects ADD COLUMN purged_at timestamptz;
CREATE INDEX projects_to_purge ON projects (deleted_at) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;

CREATE TABLE tombstones (
    id uuid PRIMARY KEY
);
COMMENT ON TABLE tombstones IS 'Ids of runs and artifacts that were deleted.';

CREATE FUNCTION delete_project(project uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    UPDATE projects SET deleted_at = clock_timestamp() WHERE id = project AND deleted_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM project_counters WHERE project_id = project;
    RETURN true;
END
$$;

-- Deletes at most about `batch` rows of a deleted project; answers how many, 0 when none is left.
-- What artifacts keep in the object store is removed by the caller before this.
CREATE FUNCTION purge_project(project uuid, batch integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    gone integer;
BEGIN
    IF NOT EXISTS (SELECT FROM projects WHERE id = project AND deleted_at IS NOT NULL) THEN
        RAISE EXCEPTION 'project % is not deleted', project;
    END IF;
    DELETE FROM events WHERE (project_id, seq, at) IN (
        SELECT e.project_id, e.seq, e.at FROM events e WHERE e.project_id = project LIMIT batch);
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
            SELECT t.id FROM tasks t WHERE t.project_id = project ORDER BY t.parent_id NULLS LAST
            LIMIT batch) RETURNING id)
    INSERT INTO tombstones SELECT id FROM chosen ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN RETURN gone; END IF;
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

REVOKE ALL ON FUNCTION delete_project, purge_project FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_project TO runcast_request;
GRANT EXECUTE ON FUNCTION purge_project TO runcast_log;
GRANT SELECT ON tombstones TO runcast_request, runcast_log;

-- migrate:down
DROP FUNCTION purge_project, delete_project;
DROP TABLE tombstones;
ALTER TABLE projects DROP COLUMN purged_at;
