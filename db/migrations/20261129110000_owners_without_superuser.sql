-- migrate:up

-- An owner who is no superuser was given the service roles as their maker, which since Postgres 16 means that it
-- may give them to others and not that it may become them: `MEMBER`, which was asked, is true, and `SET` is false.
DO $$
DECLARE
    service_role text;
BEGIN
    FOREACH service_role IN ARRAY ARRAY['runcast_request', 'runcast_log', 'runcast_accounts'] LOOP
        IF NOT pg_has_role(current_user, service_role, 'SET') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER WITH SET TRUE', service_role);
        END IF;
    END LOOP;
END
$$;

-- Logins begin as their role: that is who asks whether the schema is there.
GRANT SELECT ON schema_migrations TO runcast_request, runcast_log, runcast_accounts;

-- What `end_stuck_sessions` does needs more than to be called: its owner must see what others wait for, and
-- may end them. Where it doesn't, it ends nothing and says nothing; this says so.
CREATE FUNCTION may_end_stuck_sessions() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT (pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
            AND pg_has_role(current_user, 'pg_signal_backend', 'USAGE'))
        OR NOT EXISTS (
            SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'runcast%'
              AND NOT pg_has_role(current_user, usesysid, 'USAGE'))
$$;
REVOKE ALL ON FUNCTION may_end_stuck_sessions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION may_end_stuck_sessions TO runcast_log;

-- migrate:down
DROP FUNCTION may_end_stuck_sessions;
REVOKE SELECT ON schema_migrations FROM runcast_request, runcast_log, runcast_accounts;
