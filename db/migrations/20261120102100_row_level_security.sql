-- migrate:up

-- What the acting user may see and change, said by the database itself. Each transaction of the role
-- runcast_request names its caller with set_config(…, is_local => true); a statement without a caller
-- fails, instead of finding nothing. The role runcast_log passes by policies of its own, on the tables
-- that it has rights on and no others: BYPASSRLS would need a superuser, which managed servers don't give.
--
-- Policies call these functions in sub-selects, so that each runs once per statement and not per row.

CREATE FUNCTION acting_is_admin() RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
    said text := current_setting('runcast.is_admin', true);
BEGIN
    IF said IS NULL OR said = '' THEN
        RAISE EXCEPTION 'no acting user: this transaction was not told who asks' USING ERRCODE = 'RC001';
    END IF;
    RETURN said = 'on';
END
$$;

CREATE FUNCTION acting_user() RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, public AS $$
BEGIN
    PERFORM acting_is_admin();
    RETURN nullif(current_setting('runcast.user_id', true), '')::uuid;
END
$$;

-- The one run that the caller is confined to, or null.
CREATE FUNCTION acting_run() RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, public AS $$
BEGIN
    PERFORM acting_is_admin();
    RETURN nullif(current_setting('runcast.run_id', true), '')::uuid;
END
$$;

CREATE FUNCTION acting_principal() RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, public AS $$
BEGIN
    PERFORM acting_is_admin();
    RETURN current_setting('runcast.principal', true);
END
$$;

-- Roles in their order. A guest holds a share link.
CREATE FUNCTION role_rank(role text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT array_position(ARRAY['guest', 'viewer', 'reporter', 'editor', 'owner'], role)
$$;

-- The projects in which the caller is at least this. An administrator is let through before.
CREATE FUNCTION acting_projects(at_least text) RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    acting uuid := acting_user();
    bound uuid := nullif(current_setting('runcast.project_id', true), '')::uuid;
BEGIN
    IF acting IS NULL THEN
        IF bound IS NOT NULL AND role_rank(current_setting('runcast.role', true)) >= role_rank(at_least) THEN
            RETURN ARRAY[bound];
        END IF;
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT m.project_id FROM project_members m
                 WHERE m.user_id = acting AND role_rank(m.role) >= role_rank(at_least)
                   AND (bound IS NULL OR m.project_id = bound));
END
$$;

-- Puts a table under row-level security: its rows belong to the project in `project_id`, and to the run in
-- `run_column` where it has one. Readers of the project may read; nobody writes but the event log.
-- Every table with a project_id is either guarded by this or has policies of its own (a test looks).
CREATE FUNCTION guard_project_table(guarded regclass, run_column text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    of_run text := coalesce(quote_ident(run_column) || ' = (SELECT acting_run())', 'false');
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded);
    EXECUTE format(
        'CREATE POLICY readers ON %s FOR SELECT TO runcast_request USING (
             ((SELECT acting_is_admin()) OR project_id = ANY ((SELECT acting_projects(''guest''))::uuid[]))
             AND ((SELECT acting_run()) IS NULL OR %s))', guarded, of_run);
    EXECUTE format(
        'CREATE POLICY event_log ON %s TO runcast_log USING (true) WITH CHECK (true)', guarded);
END
$$;
REVOKE ALL ON FUNCTION guard_project_table FROM PUBLIC;

SELECT guard_project_table('runs', 'id');
SELECT guard_project_table('artifacts', 'run_id');
SELECT guard_project_table('log_sources', 'run_id');
SELECT guard_project_table('events', 'run_id');

-- ---------------------------------------------------------------- projects

ALTER TABLE projects ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON projects FOR SELECT TO runcast_request
    USING ((SELECT acting_is_admin()) OR id = ANY ((SELECT acting_projects('guest'))::uuid[]));
CREATE POLICY owners ON projects FOR UPDATE TO runcast_request
    USING ((SELECT acting_is_admin()) OR id = ANY ((SELECT acting_projects('owner'))::uuid[]));
CREATE POLICY event_log ON projects TO runcast_log USING (true) WITH CHECK (true);

ALTER TABLE project_counters ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON project_counters FOR SELECT TO runcast_request
    USING ((SELECT acting_is_admin()) OR project_id = ANY ((SELECT acting_projects('guest'))::uuid[]));
CREATE POLICY event_log ON project_counters TO runcast_log USING (true) WITH CHECK (true);

ALTER TABLE project_members ENABLE ROW LEVEL SECURITY;
CREATE POLICY members ON project_members FOR SELECT TO runcast_request
    USING ((SELECT acting_is_admin()) OR user_id = (SELECT acting_user())
           OR project_id = ANY ((SELECT acting_projects('viewer'))::uuid[]));
CREATE POLICY owners_add ON project_members FOR INSERT TO runcast_request
    WITH CHECK ((SELECT acting_is_admin()) OR project_id = ANY ((SELECT acting_projects('owner'))::uuid[]));
CREATE POLICY owners_change ON project_members FOR UPDATE TO runcast_request
    USING ((SELECT acting_is_admin()) OR project_id = ANY ((SELECT acting_projects('owner'))::uuid[]));
CREATE POLICY owners_remove ON project_members FOR DELETE TO runcast_request
    USING ((SELECT acting_is_admin()) OR user_id = (SELECT acting_user())
           OR project_id = ANY ((SELECT acting_projects('owner'))::uuid[]));

-- A project always has somebody who can manage it, whoever removes or demotes whom at the same time.
CREATE FUNCTION keep_an_owner() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    IF OLD.role <> 'owner' OR (TG_OP = 'UPDATE' AND NEW.role = 'owner') THEN
        RETURN NULL;
    END IF;
    PERFORM FROM projects WHERE id = OLD.project_id AND deleted_at IS NULL FOR NO KEY UPDATE;
    IF FOUND AND NOT EXISTS (
        SELECT FROM project_members WHERE project_id = OLD.project_id AND role = 'owner') THEN
        RAISE EXCEPTION 'the last owner can not leave' USING ERRCODE = 'RC002';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_an_owner AFTER UPDATE OR DELETE ON project_members
    FOR EACH ROW EXECUTE FUNCTION keep_an_owner();

-- Makes a project that the acting user owns; false where the id or the slug is taken.
CREATE FUNCTION create_project(project uuid, wanted_slug text, wanted_name text, wanted_epoch bigint)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    IF acting_user() IS NULL AND NOT acting_is_admin() THEN
        RAISE EXCEPTION 'only people and administrators create projects'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO projects (id, slug, name, created_by)
    VALUES (project, wanted_slug, wanted_name, acting_user()) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO project_counters (project_id, epoch) VALUES (project, wanted_epoch);
    IF acting_user() IS NOT NULL THEN
        INSERT INTO project_members (project_id, user_id, role) VALUES (project, acting_user(), 'owner');
    END IF;
    RETURN true;
END
$$;

-- Whether a project with this id is there, for callers who may know no more: 403 instead of 404.
CREATE FUNCTION project_exists(project uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT EXISTS (SELECT FROM projects WHERE id = project AND deleted_at IS NULL)
$$;

-- Whether the id of a project can't be taken (any more).
CREATE FUNCTION project_id_taken(project uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT EXISTS (SELECT FROM projects WHERE id = project)
$$;

CREATE OR REPLACE FUNCTION delete_project(project uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    IF NOT (acting_is_admin() OR project = ANY (acting_projects('owner'))) THEN
        RAISE EXCEPTION 'only owners delete a project' USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE projects SET deleted_at = clock_timestamp() WHERE id = project AND deleted_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM project_counters WHERE project_id = project;
    RETURN true;
END
$$;

-- What a project's end takes with it besides its content.
CREATE FUNCTION forget_sign_ins() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    DELETE FROM stream_tickets WHERE project_id = NEW.id;
    DELETE FROM share_links WHERE project_id = NEW.id;
    DELETE FROM invitations WHERE project_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER forget_sign_ins AFTER UPDATE OF deleted_at ON projects
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
    EXECUTE FUNCTION forget_sign_ins();

-- ---------------------------------------------------------------- people

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY known ON users FOR SELECT TO runcast_request
    USING ((SELECT acting_is_admin()) OR id = (SELECT acting_user())
           OR EXISTS (SELECT FROM project_members m WHERE m.user_id = users.id));
COMMENT ON POLICY known ON users IS 'Oneself, and with whom one shares a project: members are guarded too.';
CREATE POLICY admins_add ON users FOR INSERT TO runcast_request
    WITH CHECK ((SELECT acting_is_admin()));
CREATE POLICY admins_change ON users FOR UPDATE TO runcast_request
    USING ((SELECT acting_is_admin()));

ALTER TABLE passwords ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON passwords TO runcast_request
    USING ((SELECT acting_is_admin()) OR user_id = (SELECT acting_user()));

ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON sessions TO runcast_request
    USING ((SELECT acting_is_admin()) OR user_id = (SELECT acting_user()));

ALTER TABLE sign_in_links ENABLE ROW LEVEL SECURITY;
CREATE POLICY admins ON sign_in_links FOR INSERT TO runcast_request
    WITH CHECK ((SELECT acting_is_admin()));

ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
CREATE POLICY owners ON invitations TO runcast_request
    USING ((SELECT acting_is_admin()) OR project_id = ANY ((SELECT acting_projects('owner'))::uuid[]));

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY owners ON api_keys TO runcast_request
    USING ((SELECT acting_is_admin()) OR project_id = ANY ((SELECT acting_projects('owner'))::uuid[]))
    WITH CHECK ((SELECT acting_is_admin())
                OR (NOT is_admin AND project_id = ANY ((SELECT acting_projects('owner'))::uuid[])));
CREATE POLICY event_log ON api_keys FOR SELECT TO runcast_log USING (true);

ALTER TABLE share_links ENABLE ROW LEVEL SECURITY;
CREATE POLICY editors ON share_links TO runcast_request
    USING ((SELECT acting_is_admin()) OR project_id = ANY ((SELECT acting_projects('editor'))::uuid[]));

ALTER TABLE stream_tickets ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON stream_tickets FOR INSERT TO runcast_request
    WITH CHECK ((SELECT acting_is_admin()) OR project_id = ANY ((SELECT acting_projects('viewer'))::uuid[]));

-- Nobody changes or removes what stands here.
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY admins ON audit_log FOR SELECT TO runcast_request USING ((SELECT acting_is_admin()));
CREATE POLICY anyone ON audit_log FOR INSERT TO runcast_request
    WITH CHECK (actor = (SELECT acting_principal()));

-- ---------------------------------------------------------------- ingest

ALTER TABLE ingest_rejects ENABLE ROW LEVEL SECURITY;
CREATE POLICY admins ON ingest_rejects FOR SELECT TO runcast_request USING ((SELECT acting_is_admin()));
CREATE POLICY event_log ON ingest_rejects TO runcast_log USING (true) WITH CHECK (true);

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON idempotency_keys TO runcast_request USING (principal = (SELECT acting_principal()));
CREATE POLICY event_log ON idempotency_keys TO runcast_log USING (true) WITH CHECK (true);

-- ---------------------------------------------------------------- rights

REVOKE ALL ON users, api_keys, projects, project_counters FROM runcast_request;
REVOKE ALL ON users, project_members, api_keys FROM runcast_log;

GRANT SELECT (id, subject, email, login, name, is_admin, created_at, disabled_at, last_sign_in_at),
      INSERT, UPDATE (name, is_admin, disabled_at) ON users TO runcast_request;
GRANT SELECT, UPDATE (slug, name, updated_at) ON projects TO runcast_request;
GRANT SELECT ON project_counters TO runcast_request;
GRANT SELECT (id, name, project_id, role, is_admin, scopes, created_by, created_at, expires_at, revoked_at,
              last_used_at, replaces),
      INSERT, UPDATE (name, expires_at, revoked_at) ON api_keys TO runcast_request;
GRANT SELECT (id, token_hash, project_id, role, is_admin, expires_at, revoked_at) ON api_keys TO runcast_log;

GRANT SELECT (user_id, changed_at), INSERT, UPDATE ON passwords TO runcast_request;
GRANT SELECT (id, user_id, method, client, address, created_at, used_at, expires_at, revoked_at),
      INSERT, UPDATE (token_hash, used_at, expires_at, revoked_at) ON sessions TO runcast_request;
GRANT INSERT ON sign_in_links, stream_tickets TO runcast_request;
GRANT SELECT (id, login, project_id, role, invited_by, created_at, expires_at, accepted_by, accepted_at,
              revoked_at),
      INSERT, UPDATE (revoked_at) ON invitations TO runcast_request;
GRANT SELECT (id, project_id, run_id, created_by, created_at, expires_at, revoked_at, last_used_at),
      INSERT, UPDATE (revoked_at) ON share_links TO runcast_request;
GRANT SELECT, INSERT ON audit_log TO runcast_request;

REVOKE ALL ON FUNCTION create_project, project_exists, project_id_taken, keep_an_owner, forget_sign_ins
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_project, project_exists, project_id_taken TO runcast_request;

-- migrate:down
DROP TRIGGER forget_sign_ins ON projects;
DROP TRIGGER keep_an_owner ON project_members;
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN SELECT * FROM pg_policies WHERE schemaname = 'public' LOOP
        EXECUTE format('DROP POLICY %I ON %I', found.policyname, found.tablename);
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', found.tablename);
    END LOOP;
END
$$;
CREATE OR REPLACE FUNCTION delete_project(project uuid) RETURNS boolean
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
DROP FUNCTION forget_sign_ins, keep_an_owner, create_project, project_exists, project_id_taken,
    guard_project_table, acting_projects, acting_principal, acting_run, acting_user, acting_is_admin,
    role_rank;
GRANT SELECT, INSERT, UPDATE ON users, api_keys, projects, project_counters TO runcast_request;
GRANT SELECT ON project_members, users, api_keys TO runcast_log;
