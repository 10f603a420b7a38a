-- migrate:up

-- A key never outlives who made it, nor may it do more than they: its rights are those that it was given, cut
-- down to what its maker has now. The maker is a person (`created_by`) or another key (`made_by_key`).
ALTER TABLE api_keys
    ADD COLUMN made_by_key uuid REFERENCES api_keys,
    ADD COLUMN is_by_admin boolean NOT NULL DEFAULT false,
    ADD COLUMN replaced_at timestamptz,
    ADD COLUMN full_expires_at timestamptz;
COMMENT ON COLUMN api_keys.is_by_admin IS
    'Its maker was an administrator at that time, perhaps by what an external token said.';
COMMENT ON COLUMN api_keys.full_expires_at IS
    'When it would have ended if it had not been replaced; successors end then.';
CREATE INDEX api_keys_made_by ON api_keys (made_by_key) WHERE made_by_key IS NOT NULL;
-- Of keys that are there it isn't known: those of people who are no members were an administrator's.
UPDATE api_keys k SET is_by_admin = true
WHERE k.created_by IS NOT NULL AND NOT EXISTS (
    SELECT FROM project_members m WHERE m.user_id = k.created_by AND m.project_id = k.project_id);

CREATE FUNCTION role_of_rank(rank integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (ARRAY['guest', 'viewer', 'reporter', 'editor', 'owner'])[rank]
$$;

-- What a key may do now; no row for one that is good for nothing. It goes up the line of its makers.
CREATE FUNCTION key_rights(wanted uuid)
RETURNS TABLE (role text, is_admin boolean, expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH RECURSIVE line AS (
        SELECT k.id, k.project_id, k.role, k.is_admin, k.created_by, k.is_by_admin, k.made_by_key,
               k.expires_at, k.revoked_at, 1 AS step
        FROM api_keys k WHERE k.id = wanted
        UNION ALL
        SELECT k.id, k.project_id, k.role, k.is_admin, k.created_by, k.is_by_admin, k.made_by_key,
               k.expires_at, k.revoked_at, line.step + 1
        FROM line JOIN api_keys k ON k.id = line.made_by_key WHERE line.step < 32
    ), judged AS (
        SELECT line.step, line.is_admin, line.expires_at,
               CASE WHEN line.is_admin THEN role_rank('owner') ELSE role_rank(line.role) END AS own_rank,
               CASE WHEN line.created_by IS NULL OR u.is_admin OR line.is_by_admin THEN role_rank('owner')
                    ELSE coalesce(role_rank(m.role), 0) END AS maker_rank,
               line.revoked_at IS NULL AND (line.expires_at IS NULL OR line.expires_at > now())
                   AND (line.created_by IS NULL OR u.disabled_at IS NULL)
                   AND (NOT line.is_admin OR line.created_by IS NULL OR u.is_admin OR line.is_by_admin)
                   AS is_good
        FROM line LEFT JOIN users u ON u.id = line.created_by
        LEFT JOIN project_members m ON m.user_id = line.created_by AND m.project_id = line.project_id
    )
    SELECT CASE WHEN bool_or(j.is_admin AND j.step = 1) THEN NULL
                ELSE role_of_rank(min(least(j.own_rank, j.maker_rank))) END,
           bool_or(j.is_admin AND j.step = 1), min(j.expires_at)
    FROM judged j
    HAVING bool_and(j.is_good) AND min(j.maker_rank) > 0
       AND (NOT bool_or(j.is_admin AND j.step = 1) OR bool_and(j.is_admin))
$$;

CREATE OR REPLACE FUNCTION key_holder(presented bytea)
RETURNS TABLE (id uuid, project_id uuid, role text, is_admin boolean, scopes text[], expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
    UPDATE api_keys SET last_used_at = now()
    WHERE token_hash = presented AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute');
    RETURN QUERY
        SELECT k.id, k.project_id, r.role, r.is_admin, k.scopes, r.expires_at
        FROM api_keys k, LATERAL key_rights(k.id) r WHERE k.token_hash = presented;
END
$$;

-- Of these keys those that are good for writing, for the messages that carry them.
CREATE FUNCTION writing_keys(presented bytea[])
RETURNS TABLE (token_hash bytea, project_id uuid, is_admin boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT k.token_hash, k.project_id, r.is_admin FROM api_keys k, LATERAL key_rights(k.id) r
    WHERE k.token_hash = ANY (presented)
      AND (r.is_admin OR role_rank(r.role) >= role_rank('reporter'))
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

-- A token that was refreshed may be refreshed again for some seconds: two tabs do it at the same moment, and
-- each must end with a token that is good. It is good for nothing else.
CREATE TABLE spent_session_tokens (
    token_hash bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    spent_at timestamptz NOT NULL DEFAULT now(),
    siblings integer NOT NULL DEFAULT 0
);
CREATE INDEX spent_session_tokens_of ON spent_session_tokens (session_id);
ALTER TABLE spent_session_tokens ENABLE ROW LEVEL SECURITY;

CREATE FUNCTION renew_session(presented bytea, fresh bytea, sibling uuid, lasts interval)
RETURNS TABLE (id uuid, user_id uuid, expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    renewed sessions;
BEGIN
    DELETE FROM spent_session_tokens t WHERE t.spent_at < now() - interval '1 minute';
    UPDATE sessions s SET token_hash = fresh, expires_at = now() + lasts, used_at = now()
    FROM users u WHERE s.token_hash = presented AND s.revoked_at IS NULL AND s.expires_at > now()
      AND u.id = s.user_id AND u.disabled_at IS NULL
    RETURNING s.* INTO renewed;
    IF FOUND THEN
        INSERT INTO spent_session_tokens (token_hash, session_id) VALUES (presented, renewed.id);
    ELSE
        UPDATE spent_session_tokens t SET siblings = t.siblings + 1
        FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE t.token_hash = presented AND t.spent_at > now() - interval '30 seconds' AND t.siblings < 8
          AND s.id = t.session_id AND s.revoked_at IS NULL AND s.expires_at > now()
          AND u.disabled_at IS NULL
        RETURNING s.* INTO renewed;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        INSERT INTO sessions (id, user_id, token_hash, method, client, address, expires_at)
        VALUES (sibling, renewed.user_id, fresh, renewed.method, renewed.client, renewed.address,
                now() + lasts)
        RETURNING * INTO renewed;
    END IF;
    RETURN QUERY SELECT renewed.id, renewed.user_id, renewed.expires_at;
END
$$;

-- An account that was made for an address, and now turns out to be the provider's user with this address:
-- whoever knew a password, sat in a session or held a link or a key of it until now need not be that person.
CREATE FUNCTION forget_ways_in(account uuid) RETURNS json
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

CREATE OR REPLACE FUNCTION openid_holder(
    fresh uuid, named text, verified_login text, said_email text, said_name text)
RETURNS TABLE (user_id uuid, is_disabled boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    linked uuid;
BEGIN
    IF NOT EXISTS (SELECT FROM users u WHERE u.subject = named) THEN
        UPDATE users u SET subject = named
        WHERE verified_login IS NOT NULL AND u.login = verified_login AND u.subject IS NULL
        RETURNING u.id INTO linked;
        IF linked IS NOT NULL THEN
            INSERT INTO audit_log (actor, user_id, action, subject, details)
            VALUES ('user:' || linked, linked, 'identity_linked', linked,
                    json_build_object('provider_subject', named, 'dropped', forget_ways_in(linked)));
        ELSE
            INSERT INTO users (id, subject, login, email, name)
            SELECT fresh, named,
                   CASE WHEN EXISTS (SELECT FROM users t WHERE t.login = verified_login)
                        THEN NULL ELSE verified_login END,
                   said_email, said_name
            ON CONFLICT DO NOTHING;
        END IF;
    END IF;
    RETURN QUERY SELECT u.id, u.disabled_at IS NOT NULL FROM users u WHERE u.subject = named;
END
$$;

-- An invitation by somebody who is no administrator proves nothing of an address. Where the settings ask for
-- it, an account for it is only made once an administrator has confirmed it.
ALTER TABLE invitations
    ADD COLUMN needs_confirmation boolean NOT NULL DEFAULT false,
    ADD COLUMN confirmed_at timestamptz,
    ADD COLUMN confirmed_by text;

DROP FUNCTION open_invitation;
CREATE FUNCTION open_invitation(presented bytea)
RETURNS TABLE (id uuid, login text, project_id uuid, project_name text, role text, expires_at timestamptz,
               user_id uuid, is_confirmed boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT i.id, i.login, i.project_id, p.name, i.role, i.expires_at, u.id,
           NOT i.needs_confirmation OR i.confirmed_at IS NOT NULL
    FROM invitations i LEFT JOIN projects p ON p.id = i.project_id LEFT JOIN users u ON u.login = i.login
    WHERE i.token_hash = presented AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > now()
$$;

CREATE OR REPLACE FUNCTION accept_invitation(presented bytea, known uuid, fresh uuid, wanted_name text)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    invitation invitations;
    joining uuid := known;
BEGIN
    SELECT * INTO invitation FROM invitations i
    WHERE i.token_hash = presented AND i.accepted_at IS NULL AND i.revoked_at IS NULL
      AND i.expires_at > now()
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF joining IS NULL THEN
        IF invitation.needs_confirmation AND invitation.confirmed_at IS NULL THEN
            RETURN NULL;
        END IF;
        INSERT INTO users (id, login, email, name)
        VALUES (fresh, invitation.login, invitation.login, wanted_name)
        ON CONFLICT DO NOTHING RETURNING id INTO joining;
        IF joining IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;
    IF invitation.project_id IS NOT NULL THEN
        INSERT INTO project_members AS m (project_id, user_id, role)
        VALUES (invitation.project_id, joining, invitation.role)
        ON CONFLICT (project_id, user_id) DO UPDATE SET role = excluded.role
            WHERE role_rank(excluded.role) > role_rank(m.role);
    END IF;
    UPDATE invitations SET accepted_at = now(), accepted_by = joining WHERE id = invitation.id;
    RETURN joining;
END
$$;

REVOKE ALL ON FUNCTION key_rights, writing_keys, renew_session, forget_ways_in, open_invitation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION renew_session, open_invitation, forget_ways_in TO runcast_accounts;
GRANT EXECUTE ON FUNCTION writing_keys TO runcast_log;
GRANT SELECT (made_by_key, is_by_admin, replaced_at, full_expires_at) ON api_keys TO runcast_request;
GRANT UPDATE (made_by_key, replaced_at, full_expires_at) ON api_keys TO runcast_accounts;
GRANT SELECT (needs_confirmation, confirmed_at, confirmed_by) ON invitations TO runcast_request;
GRANT UPDATE (confirmed_at, confirmed_by) ON invitations TO runcast_accounts;
REVOKE UPDATE (token_hash) ON sessions FROM runcast_accounts;

-- migrate:down
GRANT UPDATE (token_hash) ON sessions TO runcast_accounts;
DROP FUNCTION open_invitation;
CREATE FUNCTION open_invitation(presented bytea)
RETURNS TABLE (id uuid, login text, project_id uuid, project_name text, role text, expires_at timestamptz,
               user_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT i.id, i.login, i.project_id, p.name, i.role, i.expires_at, u.id
    FROM invitations i LEFT JOIN projects p ON p.id = i.project_id LEFT JOIN users u ON u.login = i.login
    WHERE i.token_hash = presented AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > now()
$$;
REVOKE ALL ON FUNCTION open_invitation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION open_invitation TO runcast_accounts;
CREATE OR REPLACE FUNCTION accept_invitation(presented bytea, known uuid, fresh uuid, wanted_name text)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    invitation invitations;
    joining uuid := known;
BEGIN
    SELECT * INTO invitation FROM invitations i
    WHERE i.token_hash = presented AND i.accepted_at IS NULL AND i.revoked_at IS NULL
      AND i.expires_at > now()
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF joining IS NULL THEN
        INSERT INTO users (id, login, email, name)
        VALUES (fresh, invitation.login, invitation.login, wanted_name)
        ON CONFLICT DO NOTHING RETURNING id INTO joining;
        IF joining IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;
    IF invitation.project_id IS NOT NULL THEN
        INSERT INTO project_members AS m (project_id, user_id, role)
        VALUES (invitation.project_id, joining, invitation.role)
        ON CONFLICT (project_id, user_id) DO UPDATE SET role = excluded.role
            WHERE role_rank(excluded.role) > role_rank(m.role);
    END IF;
    UPDATE invitations SET accepted_at = now(), accepted_by = joining WHERE id = invitation.id;
    RETURN joining;
END
$$;
ALTER TABLE invitations DROP COLUMN needs_confirmation, DROP COLUMN confirmed_at, DROP COLUMN confirmed_by;
CREATE OR REPLACE FUNCTION openid_holder(
    fresh uuid, named text, verified_login text, said_email text, said_name text)
RETURNS TABLE (user_id uuid, is_disabled boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM users u WHERE u.subject = named) THEN
        UPDATE users u SET subject = named
        WHERE verified_login IS NOT NULL AND u.login = verified_login AND u.subject IS NULL;
        IF NOT FOUND THEN
            INSERT INTO users (id, subject, login, email, name)
            SELECT fresh, named,
                   CASE WHEN EXISTS (SELECT FROM users t WHERE t.login = verified_login)
                        THEN NULL ELSE verified_login END,
                   said_email, said_name
            ON CONFLICT DO NOTHING;
        END IF;
    END IF;
    RETURN QUERY SELECT u.id, u.disabled_at IS NOT NULL FROM users u WHERE u.subject = named;
END
$$;
DROP FUNCTION forget_ways_in, renew_session;
DROP TABLE spent_session_tokens;
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
            SELECT FROM api_keys k WHERE k.id = c.key_id AND k.revoked_at IS NULL
            AND (k.expires_at IS NULL OR k.expires_at > now())
            AND (k.is_admin OR k.project_id = c.project_id))
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
CREATE OR REPLACE FUNCTION key_holder(presented bytea)
RETURNS TABLE (id uuid, project_id uuid, role text, is_admin boolean, scopes text[], expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
    UPDATE api_keys SET last_used_at = now()
    WHERE token_hash = presented AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute');
    RETURN QUERY
        SELECT k.id, k.project_id, k.role, k.is_admin, k.scopes, k.expires_at FROM api_keys k
        WHERE k.token_hash = presented AND k.revoked_at IS NULL
          AND (k.expires_at IS NULL OR k.expires_at > now());
END
$$;
DROP FUNCTION writing_keys, key_rights, role_of_rank;
ALTER TABLE api_keys DROP COLUMN made_by_key, DROP COLUMN is_by_admin, DROP COLUMN replaced_at,
    DROP COLUMN full_expires_at;
