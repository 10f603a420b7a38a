-- migrate:up

-- An invitation is good as long as who made it may still make it: a person, or a key.
ALTER TABLE invitations
    ADD COLUMN is_by_admin boolean NOT NULL DEFAULT false,
    ADD COLUMN invited_by_key uuid REFERENCES api_keys ON DELETE CASCADE;
COMMENT ON COLUMN invitations.is_by_admin IS
    'Its maker was an administrator at that time, perhaps by what an external token said.';
UPDATE invitations SET is_by_admin = true WHERE project_id IS NULL;
CREATE INDEX invitations_of_inviter ON invitations (invited_by) WHERE invited_by IS NOT NULL;
CREATE INDEX invitations_of_key ON invitations (invited_by_key) WHERE invited_by_key IS NOT NULL;

CREATE FUNCTION may_still_invite(invitation invitations) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT (invitation.invited_by_key IS NULL OR EXISTS (
            SELECT FROM key_rights(invitation.invited_by_key) r WHERE r.is_admin OR r.role = 'owner'))
       AND (invitation.invited_by IS NULL OR EXISTS (
            SELECT FROM users u WHERE u.id = invitation.invited_by AND u.disabled_at IS NULL
            AND (u.is_admin OR invitation.is_by_admin OR EXISTS (
                SELECT FROM project_members m WHERE m.user_id = u.id
                AND m.project_id = invitation.project_id AND m.role = 'owner'))))
$$;

CREATE OR REPLACE FUNCTION open_invitation(presented bytea)
RETURNS TABLE (id uuid, login text, project_id uuid, project_name text, role text, expires_at timestamptz,
               user_id uuid, is_confirmed boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT i.id, i.login, i.project_id, p.name, i.role, i.expires_at, u.id,
           NOT i.needs_confirmation OR i.confirmed_at IS NOT NULL
    FROM invitations i LEFT JOIN projects p ON p.id = i.project_id LEFT JOIN users u ON u.login = i.login
    WHERE i.token_hash = presented AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > now()
      AND may_still_invite(i)
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
      AND i.expires_at > now() AND may_still_invite(i)
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

-- Who comes back later, or is let in again, finds no invitation of before.
CREATE FUNCTION take_back_invitations() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_TABLE_NAME = 'users' THEN
        UPDATE invitations i SET revoked_at = now()
        WHERE i.invited_by = OLD.id AND i.accepted_at IS NULL AND i.revoked_at IS NULL
          AND (i.is_by_admin OR NEW.disabled_at IS NOT NULL);
    ELSE
        UPDATE invitations i SET revoked_at = now()
        WHERE i.invited_by = OLD.user_id AND i.project_id = OLD.project_id
          AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND NOT i.is_by_admin;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER take_back_invitations_of_removed AFTER DELETE ON project_members
    FOR EACH ROW WHEN (OLD.role = 'owner') EXECUTE FUNCTION take_back_invitations();
CREATE TRIGGER take_back_invitations_of_demoted AFTER UPDATE OF role ON project_members
    FOR EACH ROW WHEN (OLD.role = 'owner' AND NEW.role <> 'owner') EXECUTE FUNCTION take_back_invitations();
CREATE TRIGGER take_back_invitations_of_disabled AFTER UPDATE OF disabled_at, is_admin ON users
    FOR EACH ROW WHEN ((OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL)
        OR (OLD.is_admin AND NOT NEW.is_admin))
    EXECUTE FUNCTION take_back_invitations();

REVOKE ALL ON FUNCTION may_still_invite, take_back_invitations FROM PUBLIC;
GRANT SELECT (invited_by_key, is_by_admin) ON invitations TO runcast_request;
GRANT UPDATE (invited_by_key) ON invitations TO runcast_accounts;

-- migrate:down
DROP TRIGGER take_back_invitations_of_removed ON project_members;
DROP TRIGGER take_back_invitations_of_demoted ON project_members;
DROP TRIGGER take_back_invitations_of_disabled ON users;
DROP FUNCTION take_back_invitations;
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
CREATE OR REPLACE FUNCTION open_invitation(presented bytea)
RETURNS TABLE (id uuid, login text, project_id uuid, project_name text, role text, expires_at timestamptz,
               user_id uuid, is_confirmed boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT i.id, i.login, i.project_id, p.name, i.role, i.expires_at, u.id,
           NOT i.needs_confirmation OR i.confirmed_at IS NOT NULL
    FROM invitations i LEFT JOIN projects p ON p.id = i.project_id LEFT JOIN users u ON u.login = i.login
    WHERE i.token_hash = presented AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > now()
$$;
DROP FUNCTION may_still_invite;
DROP INDEX invitations_of_inviter;
ALTER TABLE invitations DROP COLUMN is_by_admin, DROP COLUMN invited_by_key;
