-- migrate:up

-- Events only grow; what they hold can be taken out of them. Their numbers stay, so that nobody who reads on
-- finds a hole.
CREATE FUNCTION overwrite_events(project uuid, numbers bigint[], contents text[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    changed integer;
BEGIN
    UPDATE events e SET data = n.content::json
    FROM unnest(numbers, contents) AS n (seq, content)
    WHERE e.project_id = project AND e.seq = n.seq;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;

-- Runs that were deleted and whose events still hold what they said: lines from `next_line` on.
CREATE TABLE erased_runs (
    run_id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects,
    next_line bigint NOT NULL DEFAULT 1,
    last_line bigint NOT NULL
);
ALTER TABLE erased_runs ENABLE ROW LEVEL SECURITY;
CREATE POLICY event_log ON erased_runs TO runcast_log USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON erased_runs TO runcast_log;

-- Empties the next events of a deleted run; false when none is left.
CREATE FUNCTION erase_events(run uuid, batch integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    known erased_runs;
BEGIN
    SELECT * INTO known FROM erased_runs WHERE run_id = run FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF known.next_line = 1 THEN
        UPDATE events SET type = 'deleted', data = json_build_object('run_id', run)
        WHERE run_id = run AND line_number IS NULL;
    END IF;
    UPDATE events SET data = json_build_object('run_id', run, 'line_number', line_number, 'line', '',
        'ts', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'source', 'deleted')
    WHERE run_id = run AND line_number >= known.next_line AND line_number < known.next_line + batch;
    IF known.next_line + batch > known.last_line THEN
        DELETE FROM erased_runs WHERE run_id = run;
        RETURN false;
    END IF;
    UPDATE erased_runs SET next_line = known.next_line + batch WHERE run_id = run;
    RETURN true;
END
$$;

-- An account's end: what it wrote stays, without its name; everything by which it could come back goes.
CREATE FUNCTION delete_user(account uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT acting_is_admin() THEN
        RAISE EXCEPTION 'only administrators delete people' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM FROM users u WHERE u.id = account FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM forget_ways_in(account);
    DELETE FROM project_members m WHERE m.user_id = account;
    DELETE FROM spent_session_tokens t USING sessions s WHERE s.id = t.session_id AND s.user_id = account;
    DELETE FROM sessions s WHERE s.user_id = account;
    DELETE FROM sign_in_links l WHERE l.user_id = account;
    DELETE FROM invitations i WHERE i.login = (SELECT u.login FROM users u WHERE u.id = account);
    -- The row stays for what refers to it, and so does the subject: a token of this person lets nobody in.
    UPDATE users u SET login = NULL, email = NULL, name = 'deleted user', is_admin = false,
                       disabled_at = coalesce(u.disabled_at, now()), deleted_at = now()
    WHERE u.id = account AND u.deleted_at IS NULL;
    RETURN FOUND;
END
$$;
ALTER TABLE users ADD COLUMN deleted_at timestamptz;
COMMENT ON COLUMN users.deleted_at IS 'The row stays as a tombstone, without a name or an address.';
GRANT SELECT (deleted_at) ON users TO runcast_request;

REVOKE ALL ON FUNCTION overwrite_events, erase_events, delete_user FROM PUBLIC;
GRANT EXECUTE ON FUNCTION overwrite_events, erase_events TO runcast_log;
GRANT EXECUTE ON FUNCTION delete_user TO runcast_accounts;

-- migrate:down
ALTER TABLE users DROP COLUMN deleted_at;
DROP FUNCTION delete_user, erase_events, overwrite_events;
DROP TABLE erased_runs;
