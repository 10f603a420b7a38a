-- migrate:up

-- A line of makers that is longer than what is looked at has no rights: whoever stands beyond it isn't known.
CREATE OR REPLACE FUNCTION key_rights(wanted uuid)
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
        SELECT line.step, line.made_by_key, line.is_admin, line.expires_at,
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
       AND NOT bool_or(j.step = 32 AND j.made_by_key IS NOT NULL)
$$;

-- How many keys stand in a line of makers, up to the limit.
CREATE FUNCTION key_depth(wanted uuid) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH RECURSIVE line AS (
        SELECT k.made_by_key, 1 AS step FROM api_keys k WHERE k.id = wanted
        UNION ALL
        SELECT k.made_by_key, line.step + 1 FROM line JOIN api_keys k ON k.id = line.made_by_key
        WHERE line.step < 32
    )
    SELECT coalesce(max(step), 0) FROM line
$$;
REVOKE ALL ON FUNCTION key_depth FROM PUBLIC;
GRANT EXECUTE ON FUNCTION key_depth TO runcast_accounts;

-- migrate:down
DROP FUNCTION key_depth;
CREATE OR REPLACE FUNCTION key_rights(wanted uuid)
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
