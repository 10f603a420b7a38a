-- migrate:up

-- As before, but a partition's day is read from its name only once it is known to be one: Postgres 17 plans
-- a single query so that it reads a day from the name of every table there is, and fails.
CREATE OR REPLACE FUNCTION drop_partitions(parent regclass, keep interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET timezone = 'UTC' AS $$
DECLARE
    partition_name text;
    dropped integer := 0;
BEGIN
    IF parent::text <> 'events' AND parent::text <> 'runtime_events' THEN
        RAISE EXCEPTION 'not a table with daily partitions: %', parent;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
    FOR partition_name IN
        SELECT child.relname
        FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = parent
        ORDER BY child.relname
    LOOP
        CONTINUE WHEN to_date(right(partition_name, 8), 'YYYYMMDD') + 1 > clock_timestamp() - keep;
        IF parent::text = 'events' THEN
            EXECUTE format(
                'UPDATE project_counters c SET floor_seq = dropped.seq
                 FROM (SELECT c.project_id, latest.seq FROM project_counters c, LATERAL (
                           SELECT seq FROM public.%I e WHERE e.project_id = c.project_id
                           ORDER BY seq DESC LIMIT 1) latest) dropped
                 WHERE c.project_id = dropped.project_id AND c.floor_seq < dropped.seq', partition_name);
        END IF;
        EXECUTE format('DROP TABLE public.%I', partition_name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

-- migrate:down
