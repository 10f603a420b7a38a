-- migrate:up

-- Who signs in with an e-mail address and a password, or through OpenID Connect, has a `login`.
ALTER TABLE users
    ADD COLUMN login text UNIQUE,
    ADD COLUMN disabled_at timestamptz,
    ADD COLUMN last_sign_in_at timestamptz;
COMMENT ON COLUMN users.login IS 'The e-mail address to sign in with, in lower case.';
COMMENT ON COLUMN users.email IS 'What an external token said; it proves nothing.';

CREATE TABLE passwords (
    user_id uuid PRIMARY KEY REFERENCES users,
    hash text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN passwords.hash IS 'argon2id, with its salt and costs.';

CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    token_hash bytea NOT NULL UNIQUE,
    method text NOT NULL CHECK (method IN ('password', 'link', 'invitation', 'oidc')),
    client text NOT NULL DEFAULT '',
    address text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
COMMENT ON COLUMN sessions.client IS 'What the browser or program called itself.';
CREATE INDEX sessions_of_user ON sessions (user_id);

CREATE TABLE sign_in_links (
    token_hash bytea PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

CREATE TABLE invitations (
    id uuid PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE,
    login text NOT NULL,
    project_id uuid REFERENCES projects,
    role text CHECK (role IN ('owner', 'editor', 'reporter', 'viewer')),
    invited_by uuid REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    accepted_by uuid REFERENCES users,
    accepted_at timestamptz,
    revoked_at timestamptz,
    CHECK ((project_id IS NULL) = (role IS NULL))
);
CREATE INDEX invitations_of_project ON invitations (project_id);

CREATE TABLE share_links (
    id uuid PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE,
    project_id uuid NOT NULL REFERENCES projects,
    run_id uuid REFERENCES runs ON DELETE CASCADE,
    created_by uuid REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);
COMMENT ON COLUMN share_links.run_id IS 'Set where the link shows one run and nothing else of its project.';
CREATE INDEX share_links_of_project ON share_links (project_id);
CREATE INDEX share_links_of_run ON share_links (run_id) WHERE run_id IS NOT NULL;

-- A ticket opens one stream within seconds. Its first use binds it to that stream's path, and a cookie
-- stands for it when the same EventSource connects again.
CREATE TABLE stream_tickets (
    token_hash bytea PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects,
    principal json NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    path text,
    cookie_hash bytea UNIQUE,
    cookie_expires_at timestamptz
);
CREATE INDEX stream_tickets_age ON stream_tickets (expires_at);

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    user_id uuid,
    action text NOT NULL,
    project_id uuid,
    subject text,
    details json NOT NULL DEFAULT '{}',
    address text
);
COMMENT ON COLUMN audit_log.actor IS 'The principal: user:…, key:…, or anonymous before a sign-in.';
CREATE INDEX audit_log_of_project ON audit_log (project_id, id) WHERE project_id IS NOT NULL;

ALTER TABLE api_keys ADD COLUMN replaces uuid REFERENCES api_keys;
COMMENT ON COLUMN api_keys.replaces IS 'The key that this one took over from by rotation.';

-- migrate:down
ALTER TABLE api_keys DROP COLUMN replaces;
DROP TABLE audit_log, stream_tickets, share_links, invitations, sign_in_links, sessions, passwords;
ALTER TABLE users DROP COLUMN login, DROP COLUMN disabled_at, DROP COLUMN last_sign_in_at;
