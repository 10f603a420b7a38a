-- migrate:up

-- What a person wants to be told, and where. `since`: what happened before isn't told.
CREATE TABLE notification_settings (
    user_id uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    rules json NOT NULL,
    details boolean NOT NULL DEFAULT false,
    since timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN notification_settings.details IS 'Whether messages hold what agents ask, besides who asks.';

CREATE TABLE notification_targets (
    user_id uuid NOT NULL REFERENCES notification_settings ON DELETE CASCADE,
    id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('ntfy', 'webpush', 'apprise')),
    name text NOT NULL,
    url text,
    secret json NOT NULL,
    failing_since timestamptz,
    error text,
    disabled_reason text,
    unsaid integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id)
);
COMMENT ON COLUMN notification_targets.url IS 'Shown to the person alone; null where the address itself is a secret.';
COMMENT ON COLUMN notification_targets.secret IS 'Address and tokens, as they are sent; only runcast_log reads it.';
COMMENT ON COLUMN notification_targets.unsaid IS 'How many matters were too many to be kept, for the next summary.';

-- Up to which number a project's events were looked at, for all people at once. Only projects have one of which
-- someone wants to hear.
CREATE TABLE notification_cursors (
    project_id uuid PRIMARY KEY REFERENCES projects ON DELETE CASCADE,
    position bigint NOT NULL
);

-- One message for one target about one matter: sent once it is due and still holds, replaced when its question is
-- closed. `subject` makes it one.
CREATE TABLE notifications (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    target_id text NOT NULL,
    subject text NOT NULL,
    kind text NOT NULL,
    project_id uuid REFERENCES projects ON DELETE CASCADE,
    run_id uuid REFERENCES runs ON DELETE CASCADE,
    question_id uuid REFERENCES questions ON DELETE CASCADE,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'sent', 'closing', 'closed', 'summed', 'dropped', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    at timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    sending_until timestamptz,
    began_at timestamptz,
    ended_at timestamptz,
    error text,
    UNIQUE (user_id, target_id, subject),
    FOREIGN KEY (user_id, target_id) REFERENCES notification_targets ON DELETE CASCADE
);
CREATE INDEX notifications_due ON notifications (next_at) WHERE state IN ('waiting', 'closing');
CREATE INDEX notifications_of_question ON notifications (question_id) WHERE question_id IS NOT NULL;
CREATE INDEX notifications_of_run ON notifications (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX notifications_of_project ON notifications (project_id) WHERE project_id IS NOT NULL;
CREATE INDEX notifications_begun ON notifications (user_id, began_at) WHERE began_at IS NOT NULL;
CREATE INDEX notifications_ended ON notifications (ended_at) WHERE ended_at IS NOT NULL;

-- Where a person's page is visible and focused: `inbox`, or a run.
CREATE TABLE notification_presence (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    place text NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (user_id, place)
);

-- What the holder of a link may answer, once: one option of one question, as one person.
CREATE TABLE answer_links (
    token_hash bytea PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    question_id uuid NOT NULL REFERENCES questions ON DELETE CASCADE,
    option text NOT NULL,
    via text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX answer_links_of_user ON answer_links (user_id);
CREATE INDEX answer_links_of_question ON answer_links (question_id);
CREATE INDEX answer_links_expiring ON answer_links (expires_at);

-- By what key browsers' push services know this server; made once.
CREATE TABLE push_keys (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    private text NOT NULL,
    public text NOT NULL
);
COMMENT ON TABLE push_keys IS 'VAPID (RFC 8292). Only runcast_log reads `private`.';

ALTER TABLE notification_settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification_targets ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification_cursors ENABLE ROW LEVEL SECURITY;
ALTER TABLE notifications ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification_presence ENABLE ROW LEVEL SECURITY;
ALTER TABLE answer_links ENABLE ROW LEVEL SECURITY;
ALTER TABLE push_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notification_settings TO runcast_request USING (user_id = (SELECT acting_user()));
CREATE POLICY own ON notification_targets TO runcast_request USING (user_id = (SELECT acting_user()));
CREATE POLICY own ON notification_presence TO runcast_request USING (user_id = (SELECT acting_user()));
CREATE POLICY event_log ON notification_settings TO runcast_log USING (true) WITH CHECK (true);
CREATE POLICY event_log ON notification_targets TO runcast_log USING (true) WITH CHECK (true);
CREATE POLICY event_log ON notification_cursors TO runcast_log USING (true) WITH CHECK (true);
CREATE POLICY event_log ON notifications TO runcast_log USING (true) WITH CHECK (true);
CREATE POLICY event_log ON notification_presence TO runcast_log USING (true) WITH CHECK (true);
CREATE POLICY event_log ON answer_links TO runcast_log USING (true) WITH CHECK (true);
CREATE POLICY event_log ON push_keys TO runcast_log USING (true) WITH CHECK (true);
GRANT SELECT ON notification_settings TO runcast_request;
GRANT INSERT, UPDATE, DELETE ON notification_settings TO runcast_accounts;
GRANT SELECT, UPDATE (updated_at) ON notification_settings TO runcast_log;
GRANT SELECT (user_id, id, kind, name, url, failing_since, error, disabled_reason, created_at, updated_at)
    ON notification_targets TO runcast_request;
GRANT INSERT, DELETE, UPDATE (name, url, secret, failing_since, error, disabled_reason, updated_at)
    ON notification_targets TO runcast_accounts;
GRANT SELECT, UPDATE (failing_since, error, disabled_reason, unsaid) ON notification_targets TO runcast_log;
GRANT SELECT, INSERT, UPDATE, DELETE ON notification_cursors, notifications TO runcast_log;
GRANT SELECT ON notification_presence TO runcast_request, runcast_log;
GRANT INSERT, UPDATE, DELETE ON notification_presence TO runcast_accounts;
GRANT DELETE ON notification_presence TO runcast_log;
-- No one reads a link's hash.
GRANT SELECT (user_id, question_id, expires_at, used_at), INSERT, DELETE ON answer_links TO runcast_log;
GRANT SELECT, INSERT ON push_keys TO runcast_log;

-- The people who want to be told something, where they may read, and as what.
CREATE FUNCTION notified_people(who uuid)
RETURNS TABLE (user_id uuid, is_admin boolean, projects uuid[], roles text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT u.id, u.is_admin, coalesce(array_agg(m.project_id) FILTER (WHERE m.role IS NOT NULL), '{}'),
           coalesce(array_agg(m.role) FILTER (WHERE m.role IS NOT NULL), '{}')
    FROM notification_settings s JOIN users u ON u.id = s.user_id
    LEFT JOIN project_members m ON m.user_id = u.id
    WHERE u.disabled_at IS NULL AND u.deleted_at IS NULL AND (who IS NULL OR u.id = who)
    GROUP BY u.id, u.is_admin
$$;
REVOKE ALL ON FUNCTION notified_people FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notified_people TO runcast_log;

-- What a link is for, and whether it was used; and its use, once.
CREATE FUNCTION answer_link(presented bytea)
RETURNS TABLE (user_id uuid, is_admin boolean, question_id uuid, option text, via text, expires_at timestamptz,
               used_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT l.user_id, u.is_admin, l.question_id, l.option, l.via, l.expires_at, l.used_at
    FROM answer_links l JOIN users u ON u.id = l.user_id
    WHERE l.token_hash = presented AND u.disabled_at IS NULL AND u.deleted_at IS NULL
$$;
REVOKE ALL ON FUNCTION answer_link FROM PUBLIC;
GRANT EXECUTE ON FUNCTION answer_link TO runcast_request, runcast_log;

CREATE FUNCTION use_answer_link(presented bytea) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    UPDATE answer_links SET used_at = now()
    WHERE token_hash = presented AND used_at IS NULL AND expires_at > now() RETURNING true
$$;
REVOKE ALL ON FUNCTION use_answer_link FROM PUBLIC;
GRANT EXECUTE ON FUNCTION use_answer_link TO runcast_log;

-- Who leaves is told nothing any more, and their addresses and links go at once.
CREATE FUNCTION forget_notifications() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    DELETE FROM notification_settings WHERE user_id = NEW.id;
    DELETE FROM answer_links WHERE user_id = NEW.id;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION forget_notifications FROM PUBLIC;
CREATE TRIGGER forget_notifications AFTER UPDATE OF deleted_at ON users
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
    EXECUTE FUNCTION forget_notifications();

-- migrate:down
DROP TRIGGER forget_notifications ON users;
DROP FUNCTION forget_notifications;
DROP FUNCTION use_answer_link;
DROP FUNCTION answer_link;
DROP FUNCTION notified_people;
DROP TABLE push_keys, answer_links, notification_presence, notifications, notification_cursors, notification_targets,
    notification_settings;
