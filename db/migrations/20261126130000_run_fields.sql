-- migrate:up

-- What a person needs in order to find, sort and group runs of agents: a short number, labels, the run that
-- started this one, what the run waits for, what it has used, and other names under which it is reported.
ALTER TABLE runs
    ADD COLUMN number bigint,
    ADD COLUMN labels jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN parent_run_id uuid REFERENCES runs ON DELETE SET NULL,
    ADD COLUMN attention jsonb,
    ADD COLUMN usage json,
    ADD COLUMN aliases text[] NOT NULL DEFAULT '{}',
    ADD CHECK (parent_run_id <> id);
COMMENT ON COLUMN runs.number IS 'Counts 1, 2, 3 … in the project, in the order of creation.';
COMMENT ON COLUMN runs.attention IS 'What the run needs from a person: kind, since, summary, question_id.';
COMMENT ON COLUMN runs.usage IS 'Tokens and cost of this run alone; descendants are added when it is read.';
COMMENT ON COLUMN runs.aliases IS 'A copy of run_aliases, in the order given.';

UPDATE runs r SET number = n.number
FROM (SELECT id, row_number() OVER (PARTITION BY project_id ORDER BY created_at, id) AS number FROM runs) n
WHERE n.id = r.id;
ALTER TABLE runs ALTER COLUMN number SET NOT NULL;
CREATE UNIQUE INDEX runs_number ON runs (project_id, number);
CREATE INDEX runs_children ON runs (parent_run_id, created_at, id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_need_attention ON runs (project_id, created_at, id) WHERE attention IS NOT NULL;
CREATE INDEX runs_labels ON runs USING gin (labels jsonb_path_ops) WHERE labels <> '{}';

-- The last number taken in each project. A row of its own: `project_counters` is locked for one statement
-- and a commit, this one from a run's creation to the end of its transaction.
CREATE TABLE run_counters (
    project_id uuid PRIMARY KEY REFERENCES projects ON DELETE CASCADE,
    last_number bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO run_counters SELECT project_id, max(number) FROM runs GROUP BY project_id;
ALTER TABLE run_counters ENABLE ROW LEVEL SECURITY;

-- Numbers a run as it is made, whichever statement makes it. A run that brings a number (a restore) keeps it.
CREATE FUNCTION number_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO run_counters AS c (project_id, last_number)
    VALUES (NEW.project_id, coalesce(NEW.number, 1))
    ON CONFLICT (project_id) DO UPDATE
        SET last_number = greatest(c.last_number + (NEW.number IS NULL)::integer, NEW.number)
    RETURNING coalesce(NEW.number, last_number) INTO NEW.number;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION number_run FROM PUBLIC;
CREATE TRIGGER number_run BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION number_run();

-- Names besides the key under which a run is found: one session is reported by several programs.
CREATE TABLE run_aliases (
    project_id uuid NOT NULL REFERENCES projects,
    alias text NOT NULL,
    run_id uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    PRIMARY KEY (project_id, alias)
);
CREATE INDEX run_aliases_of_run ON run_aliases (run_id);
SELECT guard_project_table('run_aliases', 'run_id');
GRANT SELECT ON run_aliases TO runcast_request;
GRANT SELECT, INSERT, DELETE ON run_aliases TO runcast_log;

-- migrate:down
DROP TABLE run_aliases;
DROP TRIGGER number_run ON runs;
DROP FUNCTION number_run;
DROP TABLE run_counters;
ALTER TABLE runs
    DROP COLUMN number, DROP COLUMN labels, DROP COLUMN parent_run_id, DROP COLUMN attention,
    DROP COLUMN usage, DROP COLUMN aliases;
