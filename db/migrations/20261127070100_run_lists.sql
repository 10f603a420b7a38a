-- migrate:up

-- Finding runs by a part of a word, among half a million: an inverted index over the trigrams of what is
-- looked through. Postgres's own pg_trgm isn't part of every installation, the embedded one among them; and
-- behind row-level security no index of ILIKE is used at all, because the operator isn't leakproof. So the
-- search is a function that says itself whose runs it finds.
CREATE FUNCTION text_grams(given text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(DISTINCT substr(t, n, 3)), '{}')
    FROM lower(given) AS lowered (t), generate_series(1, length(t) - 2) AS places (n)
$$;

CREATE FUNCTION run_words(id uuid, key text, name text, agent_name text, agent_type text, current_step text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT id::text || coalesce(' ' || key, '') || coalesce(' ' || name, '') || coalesce(' ' || agent_name, '')
        || coalesce(' ' || agent_type, '') || coalesce(' ' || current_step, '')
$$;

CREATE INDEX runs_grams ON runs
    USING gin (text_grams(run_words(id, key, name, agent_name, agent_type, current_step)));
CREATE INDEX runs_by_status ON runs (project_id, status, created_at DESC, id DESC);
CREATE INDEX runs_by_agent ON runs (project_id, agent_name, created_at DESC, id DESC)
    WHERE agent_name IS NOT NULL;

-- The runs of which each pattern is a part of some word, `most` at most, of one project or of all that the
-- caller may see. `words` are the same texts without wildcards; those of fewer than three characters find
-- nothing in the index, and have all rows looked through.
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

-- migrate:down
DROP FUNCTION find_runs;
DROP INDEX runs_grams;
DROP INDEX runs_by_status;
DROP INDEX runs_by_agent;
DROP FUNCTION run_words;
DROP FUNCTION text_grams;
