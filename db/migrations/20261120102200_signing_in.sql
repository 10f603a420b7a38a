-- migrate:up

-- What must be looked up before anybody acts: a token's hash in, its holder out. Each of these answers
-- about the one secret that the caller showed, so the request role needs no right to read secrets.

-- An API key. Notes that it was used, to the minute.
CREATE FUNCTION key_holder(presented bytea)
RETURNS TABLE (id uuid, project_id uuid, role text, is_admin boolean, scopes text[], expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
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

CREATE FUNCTION session_holder(presented bytea)
RETURNS TABLE (id uuid, user_id uuid, is_admin boolean, expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
BEGIN
    UPDATE sessions SET used_at = now()
    WHERE token_hash = presented AND used_at < now() - interval '1 minute';
    RETURN QUERY
        SELECT s.id, s.user_id, u.is_admin, s.expires_at FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE s.token_hash = presented AND s.revoked_at IS NULL AND s.expires_at > now()
          AND u.disabled_at IS NULL;
END
$$;

CREATE FUNCTION share_link_holder(presented bytea)
RETURNS TABLE (id uuid, project_id uuid, run_id uuid, expires_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
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

-- The person whom a verified token of somebody else names, made known on first sight.
CREATE FUNCTION subject_holder(fresh uuid, named text, said_email text, said_name text)
RETURNS TABLE (user_id uuid, is_admin boolean, is_disabled boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    RETURN QUERY SELECT u.id, u.is_admin, u.disabled_at IS NOT NULL FROM users u WHERE u.subject = named;
    IF NOT FOUND THEN
        INSERT INTO users (id, subject, email, name) VALUES (fresh, named, said_email, said_name)
        ON CONFLICT (subject) DO NOTHING;
        RETURN QUERY SELECT u.id, u.is_admin, u.disabled_at IS NOT NULL FROM users u WHERE u.subject = named;
    END IF;
END
$$;

-- The person of an OpenID Connect sign-in: by subject; else by an address that the provider has verified,
-- where that account has no subject yet; else a new one.
CREATE FUNCTION openid_holder(fresh uuid, named text, verified_login text, said_email text, said_name text)
RETURNS TABLE (user_id uuid, is_disabled boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
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

CREATE FUNCTION password_of(presented_login text)
RETURNS TABLE (user_id uuid, hash text, is_disabled boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT u.id, p.hash, u.disabled_at IS NOT NULL FROM users u JOIN passwords p ON p.user_id = u.id
    WHERE u.login = presented_login
$$;

-- Who a one-time link signs in; it can't be used again.
CREATE FUNCTION use_sign_in_link(presented bytea) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    UPDATE sign_in_links l SET used_at = now() FROM users u
    WHERE l.token_hash = presented AND l.used_at IS NULL AND l.expires_at > now()
      AND u.id = l.user_id AND u.disabled_at IS NULL
    RETURNING l.user_id
$$;

-- An invitation that can still be accepted, and the account of its address if there is one.
CREATE FUNCTION open_invitation(presented bytea)
RETURNS TABLE (id uuid, login text, project_id uuid, project_name text, role text, expires_at timestamptz,
               user_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT i.id, i.login, i.project_id, p.name, i.role, i.expires_at, u.id
    FROM invitations i LEFT JOIN projects p ON p.id = i.project_id LEFT JOIN users u ON u.login = i.login
    WHERE i.token_hash = presented AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > now()
$$;

-- Accepts an invitation: the account `known` joins, or a new one is made where none is known. Null where
-- it can't be accepted (any more), or where the address got an account meanwhile.
CREATE FUNCTION accept_invitation(presented bytea, known uuid, fresh uuid, wanted_name text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
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

CREATE FUNCTION rename_me(wanted_name text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    UPDATE users SET name = wanted_name WHERE id = acting_user()
$$;

CREATE FUNCTION note_sign_in(signed_in uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    UPDATE users SET last_sign_in_at = now() WHERE id = signed_in;
    DELETE FROM sessions WHERE user_id = signed_in AND expires_at < now() - interval '7 days';
$$;

-- Uses a ticket for the stream at `wanted_path`; a cookie stands for it from now on.
CREATE FUNCTION use_stream_ticket(
    presented bytea, wanted_path text, fresh_cookie bytea, cookie_lasts interval)
RETURNS TABLE (principal json, project_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
BEGIN
    DELETE FROM stream_tickets WHERE token_hash IN (
        SELECT t.token_hash FROM stream_tickets t
        WHERE t.expires_at < now() - interval '1 day' AND coalesce(t.cookie_expires_at, '-infinity') < now()
        LIMIT 100 FOR UPDATE SKIP LOCKED);
    RETURN QUERY
        UPDATE stream_tickets t SET used_at = now(), path = wanted_path, cookie_hash = fresh_cookie,
                                    cookie_expires_at = now() + cookie_lasts
        WHERE t.token_hash = presented AND t.used_at IS NULL AND t.expires_at > now()
        RETURNING t.principal, t.project_id;
END
$$;

CREATE FUNCTION stream_cookie_holder(presented bytea, wanted_path text)
RETURNS TABLE (principal json, project_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT t.principal, t.project_id FROM stream_tickets t
    WHERE t.cookie_hash = presented AND t.path = wanted_path AND t.cookie_expires_at > now()
$$;

-- Which of these callers may no longer read these projects: their key, session or link was revoked or has
-- expired, they were disabled, or they are no members any more. One call for all streams of a hub.
CREATE FUNCTION shut_out(
    numbers integer[], users uuid[], sessions uuid[], keys uuid[], links uuid[], are_admins boolean[],
    projects uuid[])
RETURNS SETOF integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
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

REVOKE ALL ON FUNCTION key_holder, session_holder, share_link_holder, subject_holder, openid_holder,
    password_of, use_sign_in_link, open_invitation, accept_invitation, rename_me, note_sign_in, use_stream_ticket,
    stream_cookie_holder, shut_out FROM PUBLIC;
GRANT EXECUTE ON FUNCTION key_holder, session_holder, share_link_holder, subject_holder, openid_holder,
    password_of, use_sign_in_link, open_invitation, accept_invitation, rename_me, note_sign_in, use_stream_ticket,
    stream_cookie_holder TO runcast_request;
GRANT EXECUTE ON FUNCTION shut_out TO runcast_log;

-- migrate:down
DROP FUNCTION shut_out, stream_cookie_holder, use_stream_ticket, note_sign_in, rename_me, accept_invitation,
    open_invitation, use_sign_in_link, password_of, openid_holder, subject_holder, share_link_holder,
    session_holder, key_holder;
