-- migrate:up

-- People whom an owner may bring into a project. Owners and administrators find them, nobody else; by the
-- address with which they sign in, never by one that a token merely claims.
CREATE FUNCTION may_bring_people() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT acting_is_admin() OR cardinality(acting_projects('owner')) > 0
$$;

CREATE FUNCTION person_at(address text) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT u.id FROM users u
    WHERE u.login = lower(address) AND u.disabled_at IS NULL AND u.deleted_at IS NULL AND may_bring_people()
$$;

CREATE FUNCTION find_people(pattern text, most integer)
RETURNS TABLE (id uuid, name text, email text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT u.id, u.name, u.login FROM users u
    WHERE u.login IS NOT NULL AND u.disabled_at IS NULL AND u.deleted_at IS NULL AND may_bring_people()
      AND (u.name ILIKE pattern OR u.login ILIKE pattern)
    ORDER BY u.name, u.id LIMIT most
$$;

REVOKE ALL ON FUNCTION may_bring_people, person_at, find_people FROM PUBLIC;
GRANT EXECUTE ON FUNCTION may_bring_people, person_at, find_people TO runcast_request;

-- migrate:down
DROP FUNCTION find_people;
DROP FUNCTION person_at;
DROP FUNCTION may_bring_people;
