-- migrate:up

-- A search looks at what it found in the index again, and at each run that it passes: a function call a run, with
-- its own search_path, took most of that time. Labels are looked for here as well: behind row-level security no
-- index of them is used, because the operator isn't leakproof. What is found is what the caller may see and nothing
-- else, so that it can be counted.
DROP FUNCTION find_runs(text[], text[], uuid, integer);
CREATE FUNCTION find_runs(words text[], patterns text[], of_project uuid, most integer,
                          with_labels jsonb DEFAULT NULL, in_statuses text[] DEFAULT NULL,
                          of_agents text[] DEFAULT NULL)
RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    grams text[] := (SELECT array_agg(DISTINCT g) FROM unnest(words) AS w (word), unnest(text_grams(word)) AS t (g));
BEGIN
    IF grams IS NULL AND with_labels IS NULL THEN
        PERFORM set_config('enable_seqscan', 'on', true);
    END IF;
    RETURN QUERY
    SELECT r.id FROM runs r
    WHERE (grams IS NULL
           OR text_grams(run_words(r.id, r.key, r.name, r.agent_name, r.agent_type, r.current_step)) @> grams)
      AND (cardinality(patterns) = 0
           OR (r.id::text || coalesce(' ' || r.key, '') || coalesce(' ' || r.name, '')
               || coalesce(' ' || r.agent_name, '') || coalesce(' ' || r.agent_type, '')
               || coalesce(' ' || r.current_step, '')) ILIKE ALL (patterns))
      AND (with_labels IS NULL OR (r.labels <> '{}' AND r.labels @> with_labels))
      AND (in_statuses IS NULL OR r.status = ANY (in_statuses))
      AND (of_agents IS NULL OR r.agent_name = ANY (of_agents))
      AND (of_project IS NULL OR r.project_id = of_project)
      AND ((SELECT acting_is_admin()) OR r.project_id = ANY ((SELECT acting_projects('guest'))::uuid[]))
      AND ((SELECT acting_run()) IS NULL OR r.id = (SELECT acting_run()))
      AND r.project_id NOT IN (SELECT p.id FROM projects p WHERE p.deleted_at IS NOT NULL)
    LIMIT most;
END
$$;
REVOKE ALL ON FUNCTION find_runs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_runs TO runcast_request;

-- Which runs are stalled or lost, among very many that are well.
CREATE INDEX runs_in_trouble ON runs (project_id, created_at DESC, id DESC) WHERE liveness <> 'ok';

-- migrate:down
DROP INDEX runs_in_trouble;
DROP FUNCTION find_runs;
CREATE FUNCTION find_runs(words text[], patterns text[], of_project uuid, most integer) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off AS $$
DECLARE
    grams text[] := (SELECT array_agg(DISTINCT g) FROM unnest(words) AS w (word), unnest(text_grams(word)) AS t (g));
BEGIN
    RETURN QUERY
    SELECT r.id FROM runs r
    WHERE (grams IS NULL
           OR text_grams(run_words(r.id, r.key, r.name, r.agent_name, r.agent_type, r.current_step)) @> grams)
      AND run_words(r.id, r.key, r.name, r.agent_name, r.agent_type, r.current_step) ILIKE ALL (patterns)
      AND (of_project IS NULL OR r.project_id = of_project)
      AND ((SELECT acting_is_admin()) OR r.project_id = ANY ((SELECT acting_projects('guest'))::uuid[]))
    LIMIT most;
END
$$;
REVOKE ALL ON FUNCTION find_runs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_runs TO runcast_request;
