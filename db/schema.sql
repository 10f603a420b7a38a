-- What the migrations come to, dumped by Postgres 18's pg_dump. `make schema` writes it.

CREATE FUNCTION public.delete_project(project uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public'
    AS $$
BEGIN
    UPDATE projects SET deleted_at = clock_timestamp() WHERE id = project AND deleted_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM project_counters WHERE project_id = project;
    RETURN true;
END
$$;

CREATE FUNCTION public.drop_partitions(parent regclass, keep interval) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public'
    SET "TimeZone" TO 'UTC'
    AS $$
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
          AND to_date(right(child.relname, 8), 'YYYYMMDD') + 1 <= clock_timestamp() - keep
        ORDER BY child.relname
    LOOP
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

CREATE FUNCTION public.end_stuck_sessions(older_than interval) RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public'
    AS $$
    SELECT count(pg_terminate_backend(pid))::integer FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND application_name LIKE 'runcast%'
      AND wait_event_type = 'Client' AND wait_event = 'ClientRead'
      AND state IN ('active', 'idle in transaction', 'idle in transaction (aborted)')
      AND xact_start < clock_timestamp() - older_than
$$;

CREATE FUNCTION public.has_partition(parent regclass, moment timestamp with time zone) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'public'
    SET "TimeZone" TO 'UTC'
    AS $$
    SELECT to_regclass(format('public.%I', format('%s_%s', parent, to_char(moment, 'YYYYMMDD')))) IS NOT NULL
$$;

CREATE FUNCTION public.make_partitions(parent regclass, days_ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public'
    SET "TimeZone" TO 'UTC'
    AS $$
DECLARE
    first_day timestamptz;
    partition_name text;
    made integer := 0;
BEGIN
    IF parent::text <> 'events' AND parent::text <> 'runtime_events' THEN
        RAISE EXCEPTION 'not a table with daily partitions: %', parent;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
    FOR first_day IN
        SELECT generate_series(date_trunc('day', clock_timestamp()) - interval '1 day',
                               date_trunc('day', clock_timestamp()) + make_interval(days => days_ahead),
                               interval '1 day')
    LOOP
        partition_name := format('%s_%s', parent, to_char(first_day, 'YYYYMMDD'));
        IF to_regclass(format('public.%I', partition_name)) IS NULL THEN
            EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', partition_name, parent::text);
            EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                           parent::text, partition_name, first_day, first_day + interval '1 day');
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$$;

CREATE FUNCTION public.purge_project(project uuid, batch integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public'
    AS $$
DECLARE
    gone integer;
BEGIN
    IF NOT EXISTS (SELECT FROM projects WHERE id = project AND deleted_at IS NOT NULL) THEN
        RAISE EXCEPTION 'project % is not deleted', project;
    END IF;
    DELETE FROM events WHERE (project_id, seq, at) IN (
        SELECT e.project_id, e.seq, e.at FROM events e WHERE e.project_id = project LIMIT batch);
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN RETURN gone; END IF;
    WITH chosen AS (
        DELETE FROM artifacts WHERE id IN (
            SELECT a.id FROM artifacts a WHERE a.project_id = project LIMIT batch) RETURNING id)
    INSERT INTO tombstones SELECT id FROM chosen ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN RETURN gone; END IF;
    DELETE FROM log_sources WHERE (run_id, source) IN (
        SELECT s.run_id, s.source FROM log_sources s WHERE s.project_id = project LIMIT batch);
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN RETURN gone; END IF;
    UPDATE runs SET retry_of = NULL WHERE project_id = project AND retry_of IS NOT NULL;
    WITH chosen AS (
        DELETE FROM runs WHERE id IN (
            SELECT r.id FROM runs r WHERE r.project_id = project LIMIT batch) RETURNING id)
    INSERT INTO tombstones SELECT id FROM chosen ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN RETURN gone; END IF;
    DELETE FROM project_members WHERE project_id = project;
    DELETE FROM api_keys WHERE project_id = project;
    UPDATE projects SET purged_at = clock_timestamp() WHERE id = project;
    RETURN 0;
END
$$;

CREATE TABLE public.api_keys (
    id uuid NOT NULL,
    token_hash bytea NOT NULL,
    name text NOT NULL,
    project_id uuid,
    role text,
    is_admin boolean DEFAULT false NOT NULL,
    scopes text[] DEFAULT '{}'::text[] NOT NULL,
    created_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT api_keys_check CHECK ((is_admin OR ((project_id IS NOT NULL) AND (role IS NOT NULL)))),
    CONSTRAINT api_keys_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'editor'::text, 'reporter'::text, 'viewer'::text])))
);

COMMENT ON COLUMN public.api_keys.token_hash IS 'SHA-256 of the token; tokens carry 256 random bits.';

CREATE TABLE public.artifacts (
    id uuid NOT NULL,
    project_id uuid NOT NULL,
    run_id uuid NOT NULL,
    step_name text NOT NULL,
    version integer NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL,
    sha256 text NOT NULL,
    filename text,
    content bytea,
    object_key text,
    created_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT artifacts_check CHECK (((content IS NULL) <> (object_key IS NULL)))
);

COMMENT ON COLUMN public.artifacts.content IS 'The content itself up to 1 MiB; what is larger lies under object_key.';

CREATE TABLE public.events (
    project_id uuid NOT NULL,
    seq bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    type text NOT NULL,
    run_id uuid,
    line_number bigint,
    data json NOT NULL
)
PARTITION BY RANGE (at);

CREATE TABLE public.idempotency_keys (
    principal text NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    body_hash bytea NOT NULL,
    status integer,
    headers json,
    body bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.ingest_cursor (
    stream text NOT NULL,
    stream_epoch bigint DEFAULT 1 NOT NULL,
    last_id text DEFAULT '0-0'::text NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.ingest_rejects (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    stream_id text NOT NULL,
    project_id uuid,
    reason text NOT NULL,
    message text NOT NULL
);

ALTER TABLE public.ingest_rejects ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.ingest_rejects_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.log_sources (
    run_id uuid NOT NULL,
    source text NOT NULL,
    project_id uuid NOT NULL,
    generation integer DEFAULT 1 NOT NULL,
    next_line bigint DEFAULT 1 NOT NULL,
    next_offset bigint DEFAULT 0 NOT NULL,
    lines bigint DEFAULT 0 NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL,
    bytes_after_end bigint DEFAULT 0 NOT NULL,
    file json,
    closed_reason text,
    closed_at timestamp with time zone,
    path text,
    is_active boolean DEFAULT false NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='50');

COMMENT ON COLUMN public.log_sources.next_line IS 'The line of this generation that comes next, from 1.';

COMMENT ON COLUMN public.log_sources.next_offset IS 'The byte of this generation at which that line starts.';

COMMENT ON COLUMN public.log_sources.lines IS 'Lines stored over all generations.';

COMMENT ON COLUMN public.log_sources.file IS 'Which file the cursor belongs to: device, inode, hash of the bytes before it.';

COMMENT ON COLUMN public.log_sources.path IS 'Set where a tail was asked for over the API.';

CREATE TABLE public.project_counters (
    project_id uuid NOT NULL,
    epoch bigint NOT NULL,
    last_seq bigint DEFAULT 0 NOT NULL,
    last_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    floor_seq bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='20', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500');

COMMENT ON COLUMN public.project_counters.epoch IS 'Random identity of this history; changed when the history went back (restore, lost promotion).';

COMMENT ON COLUMN public.project_counters.floor_seq IS 'Events up to this number were dropped by retention.';

CREATE TABLE public.project_members (
    project_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT project_members_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'editor'::text, 'reporter'::text, 'viewer'::text])))
);

CREATE TABLE public.projects (
    id uuid NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    created_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    purged_at timestamp with time zone
);

COMMENT ON COLUMN public.projects.deleted_at IS 'The row stays as a tombstone: the id is never taken again.';

CREATE TABLE public.runs (
    id uuid NOT NULL,
    project_id uuid NOT NULL,
    key text,
    name text,
    phase text NOT NULL,
    current_step text,
    steps text[] NOT NULL,
    status text NOT NULL,
    agent_type text,
    agent_name text,
    task_id uuid,
    attempt integer DEFAULT 1 NOT NULL,
    retry_of uuid,
    error text,
    will_retry boolean,
    result json,
    pr_url text,
    input json,
    metadata json DEFAULT '{}'::json NOT NULL,
    progress json,
    liveness text DEFAULT 'ok'::text NOT NULL,
    last_line_number bigint DEFAULT 0 NOT NULL,
    step_timestamps json DEFAULT '{}'::json NOT NULL,
    is_watched boolean DEFAULT false NOT NULL,
    heard_at timestamp with time zone DEFAULT now() NOT NULL,
    expected_at timestamp with time zone,
    created_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT runs_liveness_check CHECK ((liveness = ANY (ARRAY['ok'::text, 'stalled'::text, 'lost'::text]))),
    CONSTRAINT runs_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'awaiting_feedback'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])))
)
WITH (fillfactor='70');

COMMENT ON COLUMN public.runs.is_watched IS 'Liveness is judged: it sent a heartbeat once, or was started by SDK, CLI or claim.';

COMMENT ON COLUMN public.runs.heard_at IS 'When anything was last reported by or for this run.';

COMMENT ON COLUMN public.runs.expected_at IS 'The time by which the worker promised to be heard again.';

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);

CREATE TABLE public.tombstones (
    id uuid NOT NULL
);

COMMENT ON TABLE public.tombstones IS 'Ids of runs and artifacts that were deleted.';

CREATE TABLE public.users (
    id uuid NOT NULL,
    subject text,
    email text,
    name text DEFAULT ''::text NOT NULL,
    is_admin boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON COLUMN public.users.subject IS 'Who an external token says this is: its `sub`.';

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_run_id_step_name_version_key UNIQUE (run_id, step_name, version);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (project_id, seq, at);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (principal, route, key);

ALTER TABLE ONLY public.ingest_cursor
    ADD CONSTRAINT ingest_cursor_pkey PRIMARY KEY (stream);

ALTER TABLE ONLY public.ingest_rejects
    ADD CONSTRAINT ingest_rejects_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.log_sources
    ADD CONSTRAINT log_sources_pkey PRIMARY KEY (run_id, source);

ALTER TABLE ONLY public.project_counters
    ADD CONSTRAINT project_counters_pkey PRIMARY KEY (project_id);

ALTER TABLE ONLY public.project_members
    ADD CONSTRAINT project_members_pkey PRIMARY KEY (project_id, user_id);

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.tombstones
    ADD CONSTRAINT tombstones_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_subject_key UNIQUE (subject);

CREATE INDEX api_keys_of_project ON public.api_keys USING btree (project_id);

CREATE INDEX events_lines ON ONLY public.events USING btree (run_id, line_number) WHERE (line_number IS NOT NULL);

CREATE INDEX events_of_run ON ONLY public.events USING btree (run_id, seq) WHERE ((line_number IS NULL) AND (run_id IS NOT NULL));

CREATE INDEX events_without_logs ON ONLY public.events USING btree (project_id, seq) WHERE (line_number IS NULL);

CREATE INDEX idempotency_keys_age ON public.idempotency_keys USING btree (created_at);

CREATE INDEX ingest_rejects_newest ON public.ingest_rejects USING btree (at);

CREATE INDEX log_sources_tailed ON public.log_sources USING btree (run_id) WHERE is_active;

CREATE INDEX project_members_of_user ON public.project_members USING btree (user_id);

CREATE UNIQUE INDEX projects_slug ON public.projects USING btree (slug) WHERE (deleted_at IS NULL);

CREATE INDEX projects_to_purge ON public.projects USING btree (deleted_at) WHERE ((deleted_at IS NOT NULL) AND (purged_at IS NULL));

CREATE INDEX runs_active ON public.runs USING btree (project_id) WHERE (status = ANY (ARRAY['queued'::text, 'running'::text, 'awaiting_feedback'::text]));

CREATE UNIQUE INDEX runs_key ON public.runs USING btree (project_id, key) WHERE (key IS NOT NULL);

CREATE INDEX runs_newest ON public.runs USING btree (project_id, created_at DESC, id DESC);

CREATE INDEX runs_of_task ON public.runs USING btree (task_id) WHERE (task_id IS NOT NULL);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id);

ALTER TABLE ONLY public.log_sources
    ADD CONSTRAINT log_sources_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.log_sources
    ADD CONSTRAINT log_sources_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id);

ALTER TABLE ONLY public.project_counters
    ADD CONSTRAINT project_counters_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.project_members
    ADD CONSTRAINT project_members_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.project_members
    ADD CONSTRAINT project_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_retry_of_fkey FOREIGN KEY (retry_of) REFERENCES public.runs(id);

REVOKE ALL ON FUNCTION public.delete_project(project uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.delete_project(project uuid) TO runcast_request;

REVOKE ALL ON FUNCTION public.drop_partitions(parent regclass, keep interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.drop_partitions(parent regclass, keep interval) TO runcast_log;

REVOKE ALL ON FUNCTION public.end_stuck_sessions(older_than interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.end_stuck_sessions(older_than interval) TO runcast_log;

REVOKE ALL ON FUNCTION public.make_partitions(parent regclass, days_ahead integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.make_partitions(parent regclass, days_ahead integer) TO runcast_log;

REVOKE ALL ON FUNCTION public.purge_project(project uuid, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.purge_project(project uuid, batch integer) TO runcast_log;

GRANT SELECT,INSERT,UPDATE ON TABLE public.api_keys TO runcast_request;
GRANT SELECT ON TABLE public.api_keys TO runcast_log;

GRANT SELECT ON TABLE public.artifacts TO runcast_request;
GRANT SELECT,INSERT,DELETE ON TABLE public.artifacts TO runcast_log;

GRANT SELECT ON TABLE public.events TO runcast_request;
GRANT SELECT,INSERT ON TABLE public.events TO runcast_log;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.idempotency_keys TO runcast_request;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.idempotency_keys TO runcast_log;

GRANT SELECT,UPDATE ON TABLE public.ingest_cursor TO runcast_log;

GRANT SELECT ON TABLE public.ingest_rejects TO runcast_request;
GRANT SELECT,INSERT,DELETE ON TABLE public.ingest_rejects TO runcast_log;

GRANT SELECT ON TABLE public.log_sources TO runcast_request;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.log_sources TO runcast_log;

GRANT SELECT,INSERT,UPDATE ON TABLE public.project_counters TO runcast_request;
GRANT SELECT,UPDATE ON TABLE public.project_counters TO runcast_log;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.project_members TO runcast_request;
GRANT SELECT ON TABLE public.project_members TO runcast_log;

GRANT SELECT,INSERT,UPDATE ON TABLE public.projects TO runcast_request;
GRANT SELECT,UPDATE ON TABLE public.projects TO runcast_log;

GRANT SELECT ON TABLE public.runs TO runcast_request;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.runs TO runcast_log;

GRANT SELECT ON TABLE public.tombstones TO runcast_request;
GRANT SELECT ON TABLE public.tombstones TO runcast_log;

GRANT SELECT,INSERT,UPDATE ON TABLE public.users TO runcast_request;
GRANT SELECT ON TABLE public.users TO runcast_log;
