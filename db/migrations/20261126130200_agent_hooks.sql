-- migrate:up

-- What people say to a session while it runs; kept until a hook hands it to the agent.
CREATE TABLE run_messages (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    run_id uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    text text NOT NULL,
    said_by json NOT NULL,
    queued_at timestamptz NOT NULL,
    delivered_at timestamptz,
    how text,
    CHECK ((delivered_at IS NULL) = (how IS NULL))
);
CREATE INDEX run_messages_queued ON run_messages (run_id, queued_at, id) WHERE delivered_at IS NULL;
ALTER TABLE run_messages ENABLE ROW LEVEL SECURITY;
CREATE POLICY members ON run_messages FOR SELECT TO runcast_request USING (
    ((SELECT acting_is_admin()) OR project_id = ANY ((SELECT acting_projects('viewer'))::uuid[]))
    AND (SELECT acting_run()) IS NULL);
CREATE POLICY event_log ON run_messages TO runcast_log USING (true) WITH CHECK (true);
GRANT SELECT ON run_messages TO runcast_request;
GRANT SELECT, INSERT, UPDATE ON run_messages TO runcast_log;

-- Who is away from the terminal: then agents that would block it wait for an answer from elsewhere.
CREATE TABLE away (
    principal text PRIMARY KEY,
    user_id uuid REFERENCES users ON DELETE CASCADE,
    since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN away.user_id IS 'Null: an administrator''s key; it stands for keys that nobody made.';
ALTER TABLE away ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON away TO runcast_request USING (principal = (SELECT acting_principal()));
CREATE POLICY event_log ON away FOR SELECT TO runcast_log USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON away TO runcast_request;
GRANT SELECT ON away TO runcast_log;

-- Whether whoever a hook's key belongs to is away.
CREATE FUNCTION key_owner_is_away(key uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT EXISTS (SELECT FROM away a WHERE a.user_id IS NOT DISTINCT FROM
                   (SELECT k.created_by FROM api_keys k WHERE k.id = key))
$$;
REVOKE ALL ON FUNCTION key_owner_is_away FROM PUBLIC;
GRANT EXECUTE ON FUNCTION key_owner_is_away TO runcast_log;

ALTER TABLE runs ADD COLUMN cancelled_by text;
COMMENT ON COLUMN runs.cancelled_by IS 'By what name whoever cancelled it is told to the agent.';

-- migrate:down
ALTER TABLE runs DROP COLUMN cancelled_by;
DROP FUNCTION key_owner_is_away;
DROP TABLE away, run_messages;
