-- migrate:up

-- Two roles serve the processes, and neither owns anything. `runcast_request` answers requests, as one
-- acting user at a time; `runcast_log` is the event log, the ingester and the hub, whose batches hold
-- many users' items. A login becomes one of them when it connects (the start-up parameter `role`).
-- Roles belong to the cluster, so a second database finds them there.
DO $$
DECLARE
    service_role text;
BEGIN
    FOREACH service_role IN ARRAY ARRAY['runcast_request', 'runcast_log'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', service_role);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
        IF NOT pg_has_role(current_user, service_role, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', service_role);
        END IF;
    END LOOP;
END
$$;

CREATE TABLE users (
    id uuid PRIMARY KEY,
    subject text UNIQUE,
    email text,
    name text NOT NULL DEFAULT '',
    is_admin boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN users.subject IS 'Who an external token says this is: its `sub`.';

CREATE TABLE projects (
    id uuid PRIMARY KEY,
    slug text NOT NULL,
    name text NOT NULL,
    created_by uuid REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
COMMENT ON COLUMN projects.deleted_at IS 'The row stays as a tombstone: the id is never taken again.';
CREATE UNIQUE INDEX projects_slug ON projects (slug) WHERE deleted_at IS NULL;

-- The hot row of a project: whoever holds its lock takes the next event numbers. It is narrow and the
-- pages are left mostly empty, so that every update stays on its page and touches no index (HOT).
CREATE TABLE project_counters (
    project_id uuid PRIMARY KEY REFERENCES projects,
    epoch bigint NOT NULL,
    last_seq bigint NOT NULL DEFAULT 0,
    last_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    floor_seq bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
COMMENT ON COLUMN project_counters.epoch IS
    'Random identity of this history; changed when the history went back (restore, lost promotion).';
COMMENT ON COLUMN project_counters.floor_seq IS 'Events up to this number were dropped by retention.';

CREATE TABLE project_members (
    project_id uuid NOT NULL REFERENCES projects,
    user_id uuid NOT NULL REFERENCES users,
    role text NOT NULL CHECK (role IN ('owner', 'editor', 'reporter', 'viewer')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, user_id)
);
CREATE INDEX project_members_of_user ON project_members (user_id);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE,
    name text NOT NULL,
    project_id uuid REFERENCES projects,
    role text CHECK (role IN ('owner', 'editor', 'reporter', 'viewer')),
    is_admin boolean NOT NULL DEFAULT false,
    scopes text[] NOT NULL DEFAULT '{}',
    created_by uuid REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    CHECK (is_admin OR (project_id IS NOT NULL AND role IS NOT NULL))
);
COMMENT ON COLUMN api_keys.token_hash IS 'SHA-256 of the token; tokens carry 256 random bits.';
CREATE INDEX api_keys_of_project ON api_keys (project_id);

GRANT SELECT, INSERT, UPDATE ON users, api_keys TO runcast_request;
GRANT SELECT, INSERT, UPDATE ON projects, project_counters TO runcast_request;
GRANT SELECT, INSERT, UPDATE, DELETE ON project_members TO runcast_request;
GRANT SELECT, UPDATE ON projects, project_counters TO runcast_log;
GRANT SELECT ON project_members, users, api_keys TO runcast_log;

-- migrate:down
DROP TABLE api_keys, project_members, project_counters, projects, users;
