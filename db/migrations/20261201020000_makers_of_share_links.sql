-- migrate:up

-- A share link is good as long as whoever made it may still make it: a person, or a key. Links that are there
-- already don't say which key made them; they go on as before, and so do those that a process of the release
-- before makes meanwhile, which says neither.
ALTER TABLE share_links
    ADD COLUMN made_by_key uuid REFERENCES api_keys ON DELETE CASCADE,
    ADD COLUMN is_by_admin boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN share_links.is_by_admin IS
    'Its maker was an administrator at that time, perhaps by what an external token said.';
CREATE INDEX share_links_of_key ON share_links (made_by_key) WHERE made_by_key IS NOT NULL;
CREATE INDEX api_keys_of_replaced ON api_keys (replaces) WHERE replaces IS NOT NULL;

-- The newest good key that took over from this one by rotation, perhaps through others; without one, the key
-- itself. A rotated key works on for a while, and what it makes then is to outlive it.
CREATE FUNCTION living_successor(key uuid) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH RECURSIVE line AS (
        SELECT k.id, k.revoked_at, k.expires_at, 1 AS step FROM api_keys k WHERE k.replaces = key
        UNION ALL
        SELECT k.id, k.revoked_at, k.expires_at, line.step + 1
        FROM line JOIN api_keys k ON k.replaces = line.id WHERE line.step < 1000
    ), newest_first AS (
        SELECT line.id FROM line
        WHERE line.revoked_at IS NULL AND (line.expires_at IS NULL OR line.expires_at > now())
        ORDER BY line.step DESC, line.id DESC LIMIT 32
    )
    SELECT coalesce((SELECT n.id FROM newest_first n WHERE EXISTS (SELECT FROM key_rights(n.id)) LIMIT 1), key)
$$;
REVOKE ALL ON FUNCTION living_successor FROM PUBLIC;
GRANT EXECUTE ON FUNCTION living_successor TO runcast_accounts;

-- The successor is asked for here as well: a process of the release before hands no link over when it rotates
-- a key, and a link may be made at the very moment of a rotation.
CREATE FUNCTION share_link_is_good(link uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM share_links l
        WHERE l.id = link AND l.revoked_at IS NULL AND (l.expires_at IS NULL OR l.expires_at > now())
          AND (l.made_by_key IS NULL OR EXISTS (
            SELECT FROM key_rights(living_successor(l.made_by_key)) r
            WHERE r.is_admin OR role_rank(r.role) >= role_rank('editor')))
          AND (l.created_by IS NULL OR EXISTS (
            SELECT FROM users u WHERE u.id = l.created_by AND u.disabled_at IS NULL
            AND (u.is_admin OR l.is_by_admin OR EXISTS (
                SELECT FROM project_members m WHERE m.user_id = u.id AND m.project_id = l.project_id
                AND role_rank(m.role) >= role_rank('editor'))))))
$$;
REVOKE ALL ON FUNCTION share_link_is_good FROM PUBLIC;
GRANT EXECUTE ON FUNCTION share_link_is_good TO runcast_request;
GRANT SELECT (made_by_key, is_by_admin) ON share_links TO runcast_request;
GRANT UPDATE (made_by_key) ON share_links TO runcast_accounts;

CREATE OR REPLACE FUNCTION share_link_holder(presented bytea)
RETURNS TABLE (id uuid, project_id uuid, run_id uuid, expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
    UPDATE share_links SET last_used_at = now()
    WHERE token_hash = presented AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute');
    RETURN QUERY
        SELECT l.id, l.project_id, l.run_id, l.expires_at FROM share_links l
        WHERE l.token_hash = presented AND share_link_is_good(l.id);
END
$$;

CREATE OR REPLACE FUNCTION shut_out(
    numbers integer[], users uuid[], sessions uuid[], keys uuid[], links uuid[], are_admins boolean[],
    projects uuid[])
RETURNS SETOF integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT c.number
    FROM unnest(numbers, users, sessions, keys, links, are_admins, projects)
        AS c (number, user_id, session_id, key_id, link_id, is_admin, project_id)
    WHERE NOT CASE
        WHEN c.key_id IS NOT NULL THEN EXISTS (
            SELECT FROM api_keys k, LATERAL key_rights(k.id) r
            WHERE k.id = c.key_id AND (r.is_admin OR k.project_id = c.project_id))
        WHEN c.link_id IS NOT NULL THEN EXISTS (
            SELECT FROM share_links l WHERE l.id = c.link_id AND l.project_id = c.project_id
            AND share_link_is_good(l.id))
        ELSE EXISTS (
            SELECT FROM users u WHERE u.id = c.user_id AND u.disabled_at IS NULL
            AND (c.is_admin OR u.is_admin OR EXISTS (
                SELECT FROM project_members m WHERE m.user_id = u.id AND m.project_id = c.project_id)))
            AND (c.session_id IS NULL OR EXISTS (
                SELECT FROM sessions s WHERE s.id = c.session_id AND s.revoked_at IS NULL
                AND s.expires_at > now()))
    END
$$;

-- Who is told of an account's matters, and answers its questions by a button, has a way in as well; and so
-- has who was invited by it.
CREATE OR REPLACE FUNCTION forget_ways_in(account uuid) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    passwords_gone integer;
    sessions_gone integer;
    links_gone integer;
    keys_gone integer;
    shares_gone integer;
    targets_gone integer;
    invitations_gone integer;
BEGIN
    DELETE FROM passwords p WHERE p.user_id = account;
    GET DIAGNOSTICS passwords_gone = ROW_COUNT;
    UPDATE sessions s SET revoked_at = now() WHERE s.user_id = account AND s.revoked_at IS NULL;
    GET DIAGNOSTICS sessions_gone = ROW_COUNT;
    DELETE FROM sign_in_links l WHERE l.user_id = account AND l.used_at IS NULL;
    GET DIAGNOSTICS links_gone = ROW_COUNT;
    UPDATE share_links l SET revoked_at = now()
    WHERE l.revoked_at IS NULL AND (l.created_by = account OR l.made_by_key IN (
        SELECT k.id FROM api_keys k WHERE k.created_by = account));
    GET DIAGNOSTICS shares_gone = ROW_COUNT;
    UPDATE api_keys k SET revoked_at = now() WHERE k.created_by = account AND k.revoked_at IS NULL;
    GET DIAGNOSTICS keys_gone = ROW_COUNT;
    DELETE FROM notification_targets t WHERE t.user_id = account;
    GET DIAGNOSTICS targets_gone = ROW_COUNT;
    DELETE FROM notification_settings s WHERE s.user_id = account;
    DELETE FROM answer_links a WHERE a.user_id = account;
    UPDATE invitations i SET revoked_at = now()
    WHERE i.invited_by = account AND i.accepted_at IS NULL AND i.revoked_at IS NULL;
    GET DIAGNOSTICS invitations_gone = ROW_COUNT;
    DELETE FROM stream_tickets t WHERE t.principal ->> 'user_id' = account::text;
    RETURN json_build_object('passwords', passwords_gone, 'sessions', sessions_gone,
        'sign_in_links', links_gone, 'keys', keys_gone, 'share_links', shares_gone,
        'notification_targets', targets_gone, 'invitations', invitations_gone);
END
$$;

-- migrate:down
CREATE OR REPLACE FUNCTION forget_ways_in(account uuid) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    passwords_gone integer;
    sessions_gone integer;
    links_gone integer;
    keys_gone integer;
    shares_gone integer;
BEGIN
    DELETE FROM passwords p WHERE p.user_id = account;
    GET DIAGNOSTICS passwords_gone = ROW_COUNT;
    UPDATE sessions s SET revoked_at = now() WHERE s.user_id = account AND s.revoked_at IS NULL;
    GET DIAGNOSTICS sessions_gone = ROW_COUNT;
    DELETE FROM sign_in_links l WHERE l.user_id = account AND l.used_at IS NULL;
    GET DIAGNOSTICS links_gone = ROW_COUNT;
    UPDATE api_keys k SET revoked_at = now() WHERE k.created_by = account AND k.revoked_at IS NULL;
    GET DIAGNOSTICS keys_gone = ROW_COUNT;
    UPDATE share_links l SET revoked_at = now() WHERE l.created_by = account AND l.revoked_at IS NULL;
    GET DIAGNOSTICS shares_gone = ROW_COUNT;
    DELETE FROM stream_tickets t WHERE t.principal ->> 'user_id' = account::text;
    RETURN json_build_object('passwords', passwords_gone, 'sessions', sessions_gone,
        'sign_in_links', links_gone, 'keys', keys_gone, 'share_links', shares_gone);
END
$$;
CREATE OR REPLACE FUNCTION shut_out(
    numbers integer[], users uuid[], sessions uuid[], keys uuid[], links uuid[], are_admins boolean[],
    projects uuid[])
RETURNS SETOF integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT c.number
    FROM unnest(numbers, users, sessions, keys, links, are_admins, projects)
        AS c (number, user_id, session_id, key_id, link_id, is_admin, project_id)
    WHERE NOT CASE
        WHEN c.key_id IS NOT NULL THEN EXISTS (
            SELECT FROM api_keys k, LATERAL key_rights(k.id) r
            WHERE k.id = c.key_id AND (r.is_admin OR k.project_id = c.project_id))
        WHEN c.link_id IS NOT NULL THEN EXISTS (
            SELECT FROM share_links l WHERE l.id = c.link_id AND l.revoked_at IS NULL
            AND (l.expires_at IS NULL OR l.expires_at > now()) AND l.project_id = c.project_id)
        ELSE EXISTS (
            SELECT FROM users u WHERE u.id = c.user_id AND u.disabled_at IS NULL
            AND (c.is_admin OR u.is_admin OR EXISTS (
                SELECT FROM project_members m WHERE m.user_id = u.id AND m.project_id = c.project_id)))
            AND (c.session_id IS NULL OR EXISTS (
                SELECT FROM sessions s WHERE s.id = c.session_id AND s.revoked_at IS NULL
                AND s.expires_at > now()))
    END
$$;
CREATE OR REPLACE FUNCTION share_link_holder(presented bytea)
RETURNS TABLE (id uuid, project_id uuid, run_id uuid, expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
    UPDATE share_links SET last_used_at = now()
    WHERE token_hash = presented AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute');
    RETURN QUERY
        SELECT l.id, l.project_id, l.run_id, l.expires_at FROM share_links l
        WHERE l.token_hash = presented AND l.revoked_at IS NULL
          AND (l.expires_at IS NULL OR l.expires_at > now());
END
$$;
DROP FUNCTION share_link_is_good;
DROP FUNCTION living_successor;
DROP INDEX api_keys_of_replaced;
DROP INDEX share_links_of_key;
ALTER TABLE share_links DROP COLUMN is_by_admin, DROP COLUMN made_by_key;
