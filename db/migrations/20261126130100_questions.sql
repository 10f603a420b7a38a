-- migrate:up

-- What agents ask people. A question is open until it is answered once, expires, is taken back, or turns out
-- to have been answered where the agent runs; none of these states ever changes.
CREATE TABLE questions (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    run_id uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('permission', 'choice', 'text', 'plan', 'form', 'notice')),
    state text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'answered', 'expired', 'cancelled', 'resolved_elsewhere')),
    title text NOT NULL,
    body text,
    tool json,
    options json,
    multiple boolean NOT NULL DEFAULT false,
    takes_text boolean NOT NULL DEFAULT false,
    parts json,
    schema json,
    "default" json,
    answerable boolean NOT NULL,
    via text NOT NULL,
    asked_by json NOT NULL,
    asker text NOT NULL,
    asked_at timestamptz NOT NULL,
    expires_at timestamptz,
    on_expiry text NOT NULL DEFAULT 'none' CHECK (on_expiry IN ('none', 'deny', 'default')),
    answer json,
    closed_at timestamptz,
    dedupe_key text,
    context json,
    UNIQUE (run_id, dedupe_key),
    CHECK ((state = 'open') = (closed_at IS NULL))
);
COMMENT ON COLUMN questions.asker IS 'The principal that asked, who may take the question back.';
COMMENT ON COLUMN questions.context IS
    'What turns the answer into the words of the agent''s own program; never shown.';
CREATE INDEX questions_open ON questions (project_id, asked_at, id) WHERE state = 'open';
CREATE INDEX questions_open_of_run ON questions (run_id, asked_at) WHERE state = 'open';
CREATE INDEX questions_expiring ON questions (expires_at) WHERE state = 'open' AND expires_at IS NOT NULL;
CREATE INDEX questions_asked ON questions (project_id, asked_at, id);

-- Members read questions; whoever holds a share link doesn't.
ALTER TABLE questions ENABLE ROW LEVEL SECURITY;
CREATE POLICY members ON questions FOR SELECT TO runcast_request USING (
    ((SELECT acting_is_admin()) OR project_id = ANY ((SELECT acting_projects('viewer'))::uuid[]))
    AND (SELECT acting_run()) IS NULL);
CREATE POLICY event_log ON questions TO runcast_log USING (true) WITH CHECK (true);
GRANT SELECT ON questions TO runcast_request;
GRANT SELECT, INSERT, UPDATE ON questions TO runcast_log;

-- Wakes those who wait for an answer, in every process, when the change is committed.
CREATE FUNCTION tell_of_closed_question() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    PERFORM pg_notify('runcast_questions', NEW.id::text);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION tell_of_closed_question FROM PUBLIC;
CREATE TRIGGER tell_of_closed_question AFTER UPDATE OF state ON questions
    FOR EACH ROW WHEN (OLD.state = 'open' AND NEW.state <> 'open')
    EXECUTE FUNCTION tell_of_closed_question();

-- By what name a caller is shown beside what it asked or answered.
CREATE FUNCTION caller_name(person uuid, key uuid) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT coalesce((SELECT coalesce(u.name, u.login, u.email) FROM users u WHERE u.id = person AND key IS NULL),
                    (SELECT k.name FROM api_keys k WHERE k.id = key))
$$;
REVOKE ALL ON FUNCTION caller_name FROM PUBLIC;
GRANT EXECUTE ON FUNCTION caller_name TO runcast_log;

-- An answer is audited in the transaction that keeps it.
CREATE POLICY event_log ON audit_log FOR INSERT TO runcast_log WITH CHECK (true);
GRANT INSERT ON audit_log TO runcast_log;

-- Whether the run waits because a question was asked: then it works again once none is open any more.
ALTER TABLE runs ADD COLUMN awaits_answer boolean NOT NULL DEFAULT false;

-- migrate:down
ALTER TABLE runs DROP COLUMN awaits_answer;
REVOKE INSERT ON audit_log FROM runcast_log;
DROP POLICY event_log ON audit_log;
DROP FUNCTION caller_name;
DROP TABLE questions;
DROP FUNCTION tell_of_closed_question;
