-- migrate:up

-- A third role, `runcast_accounts`, checks passwords, makes sessions, keys and links, and changes people,
-- members and projects; it is under the same row-level security as `runcast_request`, by membership. That one
-- reads from now on, and nothing else: what answers lists and searches can neither read a secret nor make
-- one, and its login can't become the role that does.
DO $$
BEGIN
    BEGIN
        CREATE ROLE runcast_accounts NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;
    END;
    IF NOT pg_has_role(current_user, 'runcast_accounts', 'MEMBER') THEN
        GRANT runcast_accounts TO CURRENT_USER;
    END IF;
    IF NOT pg_has_role('runcast_accounts', 'runcast_request', 'USAGE') THEN
        GRANT runcast_request TO runcast_accounts;
    END IF;
END
$$;

-- Each right to write goes from the one role to the other, column by column where it was given so.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT c.oid::regclass AS name, a.privilege_type AS privilege, '' AS columns
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND a.grantee = 'runcast_request'::regrole AND a.privilege_type <> 'SELECT'
        UNION ALL
        SELECT c.oid::regclass, a.privilege_type, format('(%I)', t.attname)
        FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND a.grantee = 'runcast_request'::regrole AND a.privilege_type <> 'SELECT'
    LOOP
        EXECUTE format('GRANT %s %s ON %s TO runcast_accounts', given.privilege, given.columns, given.name);
        EXECUTE format('REVOKE %s %s ON %s FROM runcast_request', given.privilege, given.columns, given.name);
    END LOOP;
END
$$;

-- Whoever shows a token's hash learns whom it stands for, and nothing of others: reading needs that.
REVOKE EXECUTE ON FUNCTION password_of, use_sign_in_link, open_invitation, accept_invitation, openid_holder,
    rename_me, note_sign_in, create_project, delete_project FROM runcast_request;
GRANT EXECUTE ON FUNCTION password_of, use_sign_in_link, open_invitation, accept_invitation, openid_holder,
    rename_me, note_sign_in, create_project, delete_project TO runcast_accounts;

-- The event log checks keys that messages carry, and reads none.
REVOKE ALL ON api_keys FROM runcast_log;
DROP POLICY event_log ON api_keys;

-- migrate:down
CREATE POLICY event_log ON api_keys FOR SELECT TO runcast_log USING (true);
GRANT SELECT (id, token_hash, project_id, role, is_admin, expires_at, revoked_at) ON api_keys TO runcast_log;
GRANT EXECUTE ON FUNCTION password_of, use_sign_in_link, open_invitation, accept_invitation, openid_holder,
    rename_me, note_sign_in, create_project, delete_project TO runcast_request;
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT c.oid::regclass AS name, a.privilege_type AS privilege, '' AS columns
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND a.grantee = 'runcast_accounts'::regrole
        UNION ALL
        SELECT c.oid::regclass, a.privilege_type, format('(%I)', t.attname)
        FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND a.grantee = 'runcast_accounts'::regrole
    LOOP
        EXECUTE format('GRANT %s %s ON %s TO runcast_request', given.privilege, given.columns, given.name);
        EXECUTE format('REVOKE %s %s ON %s FROM runcast_accounts', given.privilege, given.columns, given.name);
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION password_of, use_sign_in_link, open_invitation, accept_invitation, openid_holder,
    rename_me, note_sign_in, create_project, delete_project FROM runcast_accounts;
