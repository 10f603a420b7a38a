-- What the migrations come to, dumped by Postgres 18's pg_dump. `make schema` writes it.

CREATE FUNCTION public.accept_invitation(presented bytea, known uuid, fresh uuid, wanted_name text) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION public.acting_is_admin() RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog'
    AS $$
DECLARE
    said text := current_setting('runcast.is_admin', true);
BEGIN
    IF said IS NULL OR said = '' THEN
        RAISE EXCEPTION 'no acting user: this transaction was not told who asks' USING ERRCODE = 'RC001';
    END IF;
    RETURN said = 'on';
END
$$;

CREATE FUNCTION public.acting_principal() RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'public'
    AS $$
BEGIN
    PERFORM acting_is_admin();
    RETURN current_setting('runcast.principal', true);
END
$$;

CREATE FUNCTION public.acting_projects(at_least text) RETURNS uuid[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    acting uuid := acting_user();
    bound uuid := nullif(current_setting('runcast.project_id', true), '')::uuid;
BEGIN
    IF acting IS NULL THEN
        IF bound IS NOT NULL AND role_rank(current_setting('runcast.role', true)) >= role_rank(at_least) THEN
            RETURN ARRAY[bound];
        END IF;
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT m.project_id FROM project_members m
                 WHERE m.user_id = acting AND role_rank(m.role) >= role_rank(at_least)
                   AND (bound IS NULL OR m.project_id = bound));
END
$$;

CREATE FUNCTION public.acting_run() RETURNS uuid
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'public'
    AS $$
BEGIN
    PERFORM acting_is_admin();
    RETURN nullif(current_setting('runcast.run_id', true), '')::uuid;
END
$$;

CREATE FUNCTION public.acting_user() RETURNS uuid
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'public'
    AS $$
BEGIN
    PERFORM acting_is_admin();
    RETURN nullif(current_setting('runcast.user_id', true), '')::uuid;
END
$$;

CREATE FUNCTION public.answer_link(presented bytea) RETURNS TABLE(user_id uuid, is_admin boolean, question_id uuid, option text, via text, expires_at timestamp with time zone, used_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT l.user_id, u.is_admin, l.question_id, l.option, l.via, l.expires_at, l.used_at
    FROM answer_links l JOIN users u ON u.id = l.user_id
    WHERE l.token_hash = presented AND u.disabled_at IS NULL AND u.deleted_at IS NULL
$$;

CREATE FUNCTION public.caller_name(person uuid, key uuid) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT coalesce((SELECT coalesce(u.name, u.login, u.email) FROM users u WHERE u.id = person AND key IS NULL),
                    (SELECT k.name FROM api_keys k WHERE k.id = key))
$$;

CREATE FUNCTION public.count_queue() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO queue_counts AS q (project_id, status, number)
        SELECT project_id, status, count(*) FROM later WHERE parent_id IS NOT NULL
        GROUP BY project_id, status ORDER BY project_id, status
        ON CONFLICT (project_id, status) DO UPDATE SET number = q.number + excluded.number;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO queue_counts AS q (project_id, status, number)
        SELECT project_id, status, -count(*) FROM earlier WHERE parent_id IS NOT NULL
        GROUP BY project_id, status ORDER BY project_id, status
        ON CONFLICT (project_id, status) DO UPDATE SET number = q.number + excluded.number;
    ELSE
        INSERT INTO queue_counts AS q (project_id, status, number)
        SELECT project_id, status, sum(change) FROM (
            SELECT project_id, status, 1 AS change FROM later WHERE parent_id IS NOT NULL
            UNION ALL
            SELECT project_id, status, -1 FROM earlier WHERE parent_id IS NOT NULL) moved
        GROUP BY project_id, status HAVING sum(change) <> 0 ORDER BY project_id, status
        ON CONFLICT (project_id, status) DO UPDATE SET number = q.number + excluded.number;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION public.create_project(project uuid, wanted_slug text, wanted_name text, wanted_epoch bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    IF acting_user() IS NULL AND NOT acting_is_admin() THEN
        RAISE EXCEPTION 'only people and administrators create projects'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO projects (id, slug, name, created_by)
    VALUES (project, wanted_slug, wanted_name, acting_user()) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO project_counters (project_id, epoch) VALUES (project, wanted_epoch);
    IF acting_user() IS NOT NULL THEN
        INSERT INTO project_members (project_id, user_id, role) VALUES (project, acting_user(), 'owner');
    END IF;
    RETURN true;
END
$$;

CREATE FUNCTION public.delete_project(project uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    IF NOT (acting_is_admin() OR project = ANY (acting_projects('owner'))) THEN
        RAISE EXCEPTION 'only owners delete a project' USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE projects SET deleted_at = clock_timestamp() WHERE id = project AND deleted_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM project_counters WHERE project_id = project;
    RETURN true;
END
$$;

CREATE FUNCTION public.delete_user(account uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    IF NOT acting_is_admin() THEN
        RAISE EXCEPTION 'only administrators delete people' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM FROM users u WHERE u.id = account FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM forget_ways_in(account);
    DELETE FROM project_members m WHERE m.user_id = account;
    DELETE FROM spent_session_tokens t USING sessions s WHERE s.id = t.session_id AND s.user_id = account;
    DELETE FROM sessions s WHERE s.user_id = account;
    DELETE FROM sign_in_links l WHERE l.user_id = account;
    DELETE FROM invitations i WHERE i.login = (SELECT u.login FROM users u WHERE u.id = account);
    -- The row stays for what refers to it, and so does the subject: a token of this person lets nobody in.
    UPDATE users u SET login = NULL, email = NULL, name = 'deleted user', is_admin = false,
                       disabled_at = coalesce(u.disabled_at, now()), deleted_at = now()
    WHERE u.id = account AND u.deleted_at IS NULL;
    RETURN FOUND;
END
$$;

CREATE FUNCTION public.drop_empty_partitions() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $$
DECLARE
    partition_name text;
    is_empty boolean;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
    FOR partition_name IN
        SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'segments'::regclass ORDER BY child.relname
    LOOP
        CONTINUE WHEN to_date(right(partition_name, 6), 'YYYYMM') + interval '1 month 1 day' > clock_timestamp();
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM public.%I)', partition_name) INTO is_empty;
        IF is_empty THEN
            EXECUTE format('DROP TABLE public.%I', partition_name);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END
$$;

CREATE FUNCTION public.drop_oldest(project uuid, older_than timestamp with time zone, failed_older_than timestamp with time zone, max_bytes bigint, batch integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $_$
DECLARE
    known project_storage;
    excess bigint;
    dropped_seq bigint;
    oldest_month date;
    current_month date;
    oldest timestamptz;
    gone record;
    is_empty boolean;
    -- $1 project, $2 floor, $3 counted up to, $4 the age, $5 the excess, $6 the batch, $7 the age of failed runs
    chosen CONSTANT text := 'WITH chosen AS (
        SELECT * FROM (
            SELECT last_seq, at, run_id, first_line, coalesce(sum(octet_length(body)) OVER (
                ORDER BY last_seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS freed
            FROM segments WHERE project_id = $1 AND last_seq %s AND %s ORDER BY last_seq LIMIT $6
        ) near WHERE at < $4 OR freed < $5
    ), deleted AS (
        DELETE FROM segments s USING chosen c
        WHERE s.project_id = $1 AND s.last_seq = c.last_seq AND s.at = c.at AND %s
          AND NOT ($2 IS NOT NULL AND $5 = 0 AND c.first_line IS NOT NULL AND coalesce(c.at >= $7, false)
                   AND EXISTS (SELECT FROM runs r WHERE r.id = c.run_id AND r.status = ''failed''))
        RETURNING s.count, s.first_line, octet_length(s.body) AS size
    )
    SELECT (SELECT count(*) FROM chosen) AS passed, (SELECT max(last_seq) FROM chosen) AS upto,
           coalesce(sum(count), 0) AS events, coalesce(sum(size), 0) AS bytes,
           coalesce(sum(count) FILTER (WHERE first_line IS NOT NULL), 0) AS lines
    FROM deleted';
BEGIN
    SELECT * INTO known FROM project_storage WHERE project_id = project FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN 0; END IF;
    SELECT floor_seq INTO dropped_seq FROM project_counters WHERE project_id = project;
    IF NOT FOUND THEN RETURN 0; END IF;
    SELECT min(month) INTO oldest_month FROM segment_months WHERE project_id = project;
    IF oldest_month IS NULL THEN RETURN 0; END IF;
    excess := greatest(0, coalesce(known.bytes - max_bytes, 0));

    -- What stayed below the floor comes first: it is the oldest.
    EXECUTE format(chosen, '<= $3', in_month(oldest_month), in_month(oldest_month, 's'))
    INTO gone USING project, NULL::bigint, dropped_seq, failed_older_than, excess, batch, NULL::timestamptz;
    IF gone.passed = 0 THEN
        current_month := month_of_number(project, dropped_seq + 1);
        EXECUTE format(chosen, '> $2 AND last_seq <= $3', in_month(current_month), in_month(current_month, 's'))
        INTO gone USING project, dropped_seq, known.upto_seq, older_than, excess, batch, failed_older_than;
    END IF;
    IF gone.passed = 0 THEN
        IF oldest_month >= current_month THEN RETURN 0; END IF;
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM segments WHERE project_id = $1 AND %s)',
                       in_month(oldest_month)) INTO is_empty USING project;
        IF NOT is_empty THEN RETURN 0; END IF;
        DELETE FROM segment_months WHERE project_id = project AND month = oldest_month;
        RETURN 1;
    END IF;

    dropped_seq := greatest(dropped_seq, gone.upto);
    EXECUTE format('SELECT at FROM segments WHERE project_id = $1 AND last_seq > $2 AND %s ORDER BY last_seq LIMIT 1',
                   in_month(month_of_number(project, dropped_seq + 1))) INTO oldest USING project, dropped_seq;
    UPDATE project_storage SET bytes = bytes - gone.bytes, lines = lines - gone.lines,
        events = events - gone.events, oldest_at = oldest
    WHERE project_id = project;
    UPDATE project_counters SET floor_seq = dropped_seq WHERE project_id = project AND floor_seq < dropped_seq;
    RETURN gone.passed;
END
$_$;

CREATE FUNCTION public.drop_partitions(parent regclass, keep interval) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
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

CREATE FUNCTION public.end_stuck_sessions(older_than interval) RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT count(pg_terminate_backend(pid))::integer FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND application_name LIKE 'runcast%'
      AND wait_event_type = 'Client' AND wait_event = 'ClientRead'
      AND state IN ('active', 'idle in transaction', 'idle in transaction (aborted)')
      AND xact_start < clock_timestamp() - older_than
$$;

CREATE FUNCTION public.erase_events(run uuid, batch integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    known erased_runs;
    counted_upto bigint;
    more bigint;
    reach bigint;
BEGIN
    SELECT * INTO known FROM erased_runs WHERE run_id = run FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM lock_segments(known.project_id);
    SELECT coalesce(max(upto_seq), 0) INTO counted_upto FROM project_storage WHERE project_id = known.project_id;
    IF known.next_seq IS NOT NULL THEN
        SELECT max(c.last_seq) INTO reach FROM (
            SELECT s.last_seq FROM segments s
            WHERE s.run_id = run AND s.first_line IS NULL AND s.last_seq > known.next_seq
            ORDER BY s.last_seq LIMIT greatest(1, batch / 10)) c;
        WITH emptied AS (
            UPDATE segments s SET codec = 0, size = octet_length(e.body), body = e.body
            FROM segments t, LATERAL (SELECT format('deleted {"run_id":"%s"}', run) AS record) r,
                 LATERAL (SELECT convert_to(repeat(r.record || E'\n', t.count - 1) || r.record, 'UTF8') AS body) e
            WHERE t.run_id = run AND t.first_line IS NULL AND t.last_seq > known.next_seq AND t.last_seq <= reach
              AND s.project_id = t.project_id AND s.last_seq = t.last_seq AND s.at = t.at
            RETURNING s.last_seq, octet_length(s.body) - octet_length(t.body) AS more
        )
        SELECT sum(e.more) INTO more FROM emptied e WHERE e.last_seq <= counted_upto;
        UPDATE erased_runs SET next_seq = reach WHERE run_id = run;
    ELSE
        WITH emptied AS (
            UPDATE segments s
            SET codec = 0, size = octet_length(e.body), body = e.body, levels = 128, agents = '{}'
            FROM (
                    SELECT l.* FROM segments l
                    WHERE l.run_id = run AND l.first_line IS NOT NULL AND l.pieces IS NULL
                      AND l.last_line >= known.next_line AND l.first_line < known.next_line + batch
                    UNION ALL
                    SELECT l.* FROM segments l WHERE l.run_id = run AND l.pieces IS NOT NULL
                      AND l.last_line >= known.next_line AND l.first_line < known.next_line + batch
                 ) t,
                 LATERAL (SELECT format('"line":"","ts":"%s","source":"deleted"}',
                              to_char(t.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) AS record) r,
                 LATERAL (SELECT convert_to(repeat(r.record || E'\n', t.count - 1) || r.record, 'UTF8') AS body) e
            WHERE s.project_id = t.project_id AND s.last_seq = t.last_seq AND s.at = t.at
            RETURNING s.last_seq, octet_length(s.body) - octet_length(t.body) AS more
        )
        SELECT sum(e.more) INTO more FROM emptied e WHERE e.last_seq <= counted_upto;
        UPDATE erased_runs SET next_line = known.next_line + batch WHERE run_id = run;
    END IF;
    UPDATE project_storage SET bytes = bytes + more WHERE project_id = known.project_id AND more IS NOT NULL;
    IF known.next_seq IS NULL AND known.next_line + batch > known.last_line THEN
        DELETE FROM erased_runs WHERE run_id = run;
        RETURN false;
    END IF;
    RETURN true;
END
$$;

CREATE FUNCTION public.erase_metrics(run uuid, batch integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM erased_runs WHERE run_id = run) THEN
        RETURN false;
    END IF;
    DELETE FROM run_metrics WHERE (run_id, name, place) IN (
        SELECT m.run_id, m.name, m.place FROM run_metrics m WHERE m.run_id = run LIMIT batch);
    RETURN FOUND;
END
$$;

CREATE FUNCTION public.find_people(pattern text, most integer) RETURNS TABLE(id uuid, name text, email text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT u.id, u.name, u.login FROM users u
    WHERE u.login IS NOT NULL AND u.disabled_at IS NULL AND u.deleted_at IS NULL AND may_bring_people()
      AND (u.name ILIKE pattern OR u.login ILIKE pattern)
    ORDER BY u.name, u.id LIMIT most
$$;

CREATE FUNCTION public.find_runs(words text[], patterns text[], of_project uuid, most integer, with_labels jsonb DEFAULT NULL::jsonb, in_statuses text[] DEFAULT NULL::text[], of_agents text[] DEFAULT NULL::text[]) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
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

CREATE FUNCTION public.forget_answer_links() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    DELETE FROM answer_links WHERE user_id = OLD.user_id AND used_at IS NULL;
    RETURN NULL;
END
$$;

CREATE FUNCTION public.forget_audit(age interval, batch integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    gone integer;
BEGIN
    IF age < interval '30 days' THEN
        RAISE EXCEPTION 'entries of the last 30 days stay';
    END IF;
    DELETE FROM audit_log WHERE id IN (
        SELECT id FROM audit_log WHERE at < clock_timestamp() - age ORDER BY id LIMIT batch);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;

CREATE FUNCTION public.forget_notifications() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    DELETE FROM notification_settings WHERE user_id = NEW.id;
    DELETE FROM answer_links WHERE user_id = NEW.id;
    RETURN NULL;
END
$$;

CREATE FUNCTION public.forget_sign_ins() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    DELETE FROM stream_tickets WHERE project_id = NEW.id;
    DELETE FROM share_links WHERE project_id = NEW.id;
    DELETE FROM invitations WHERE project_id = NEW.id;
    RETURN NULL;
END
$$;

CREATE FUNCTION public.forget_ways_in(account uuid) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    passwords_gone integer;
    sessions_gone integer;
    links_gone integer;
    keys_gone integer;
    shares_gone integer;
    targets_gone integer;
    invitations_gone integer;
BEGIN
    DELETE FROM passwords p WHERE p.user_id = account;
    GET DIAGNOSTICS passwords_gone = ROW_COUNT;
    UPDATE sessions s SET revoked_at = now() WHERE s.user_id = account AND s.revoked_at IS NULL;
    GET DIAGNOSTICS sessions_gone = ROW_COUNT;
    DELETE FROM sign_in_links l WHERE l.user_id = account AND l.used_at IS NULL;
    GET DIAGNOSTICS links_gone = ROW_COUNT;
    UPDATE share_links l SET revoked_at = now()
    WHERE l.revoked_at IS NULL AND (l.created_by = account OR l.made_by_key IN (
        SELECT k.id FROM api_keys k WHERE k.created_by = account));
    GET DIAGNOSTICS shares_gone = ROW_COUNT;
    UPDATE api_keys k SET revoked_at = now() WHERE k.created_by = account AND k.revoked_at IS NULL;
    GET DIAGNOSTICS keys_gone = ROW_COUNT;
    DELETE FROM notification_targets t WHERE t.user_id = account;
    GET DIAGNOSTICS targets_gone = ROW_COUNT;
    DELETE FROM notification_settings s WHERE s.user_id = account;
    DELETE FROM answer_links a WHERE a.user_id = account;
    UPDATE invitations i SET revoked_at = now()
    WHERE i.invited_by = account AND i.accepted_at IS NULL AND i.revoked_at IS NULL;
    GET DIAGNOSTICS invitations_gone = ROW_COUNT;
    DELETE FROM stream_tickets t WHERE t.principal ->> 'user_id' = account::text;
    RETURN json_build_object('passwords', passwords_gone, 'sessions', sessions_gone,
        'sign_in_links', links_gone, 'keys', keys_gone, 'share_links', shares_gone,
        'notification_targets', targets_gone, 'invitations', invitations_gone);
END
$$;

CREATE FUNCTION public.forget_webhooks() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    DELETE FROM webhooks WHERE project_id = NEW.id;
    RETURN NULL;
END
$$;

CREATE FUNCTION public.guard_project_table(guarded regclass, run_column text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public'
    AS $$
DECLARE
    of_run text := coalesce(quote_ident(run_column) || ' = (SELECT acting_run())', 'false');
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded);
    EXECUTE format(
        'CREATE POLICY readers ON %s FOR SELECT TO runcast_request USING (
             ((SELECT acting_is_admin()) OR project_id = ANY ((SELECT acting_projects(''guest''))::uuid[]))
             AND ((SELECT acting_run()) IS NULL OR %s))', guarded, of_run);
    EXECUTE format(
        'CREATE POLICY event_log ON %s TO runcast_log USING (true) WITH CHECK (true)', guarded);
END
$$;

CREATE FUNCTION public.has_partition(parent regclass, moment timestamp with time zone) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'public'
    SET "TimeZone" TO 'UTC'
    AS $$
    SELECT to_regclass(format('public.%I', partition_of(parent, moment))) IS NOT NULL
$$;

CREATE FUNCTION public.in_month(month date, alias text DEFAULT 'segments'::text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog'
    AS $_$
    SELECT format('%1$I.at >= %2$L::timestamptz AND %1$I.at < %3$L::timestamptz', alias, month::text || ' 00:00Z',
                  (month + interval '1 month')::date::text || ' 00:00Z')
$_$;

CREATE FUNCTION public.keep_an_owner() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    IF OLD.role <> 'owner' OR (TG_OP = 'UPDATE' AND NEW.role = 'owner') THEN
        RETURN NULL;
    END IF;
    PERFORM FROM projects WHERE id = OLD.project_id AND deleted_at IS NULL FOR NO KEY UPDATE;
    IF FOUND AND NOT EXISTS (
        SELECT FROM project_members WHERE project_id = OLD.project_id AND role = 'owner') THEN
        RAISE EXCEPTION 'the last owner can not leave' USING ERRCODE = 'RC002';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION public.key_depth(wanted uuid) RETURNS integer
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    WITH RECURSIVE line AS (
        SELECT k.made_by_key, 1 AS step FROM api_keys k WHERE k.id = wanted
        UNION ALL
        SELECT k.made_by_key, line.step + 1 FROM line JOIN api_keys k ON k.id = line.made_by_key
        WHERE line.step < 32
    )
    SELECT coalesce(max(step), 0) FROM line
$$;

CREATE FUNCTION public.key_holder(presented bytea) RETURNS TABLE(id uuid, project_id uuid, role text, is_admin boolean, scopes text[], expires_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
BEGIN
    UPDATE api_keys SET last_used_at = now()
    WHERE token_hash = presented AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute');
    RETURN QUERY
        SELECT k.id, k.project_id, r.role, r.is_admin, k.scopes, r.expires_at
        FROM api_keys k, LATERAL key_rights(k.id) r WHERE k.token_hash = presented;
END
$$;

CREATE FUNCTION public.key_owner_is_away(key uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT EXISTS (SELECT FROM away a WHERE a.user_id IS NOT DISTINCT FROM
                   (SELECT k.created_by FROM api_keys k WHERE k.id = key))
$$;

CREATE FUNCTION public.key_rights(wanted uuid) RETURNS TABLE(role text, is_admin boolean, expires_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION public.living_successor(key uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    WITH RECURSIVE line AS (
        SELECT k.id, k.revoked_at, k.expires_at, 1 AS step FROM api_keys k WHERE k.replaces = key
        UNION ALL
        SELECT k.id, k.revoked_at, k.expires_at, line.step + 1
        FROM line JOIN api_keys k ON k.replaces = line.id WHERE line.step < 1000
    ), newest_first AS (
        SELECT line.id FROM line
        WHERE line.revoked_at IS NULL AND (line.expires_at IS NULL OR line.expires_at > now())
        ORDER BY line.step DESC, line.id DESC LIMIT 32
    )
    SELECT coalesce((SELECT n.id FROM newest_first n WHERE EXISTS (SELECT FROM key_rights(n.id)) LIMIT 1), key)
$$;

CREATE TABLE public.segments (
    project_id uuid NOT NULL,
    run_id uuid,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    first_line bigint,
    last_line bigint,
    count integer NOT NULL,
    size integer NOT NULL,
    codec smallint NOT NULL,
    levels smallint,
    agents text[],
    pieces bytea,
    body bytea NOT NULL,
    CONSTRAINT segments_count_check CHECK ((count > 0))
)
PARTITION BY RANGE (at);
ALTER TABLE ONLY public.segments ALTER COLUMN body SET STORAGE EXTERNAL;

COMMENT ON COLUMN public.segments.at IS 'When it was committed; of a merged segment, when the last of it was. Never decreases with last_seq.';

COMMENT ON COLUMN public.segments.size IS 'Bytes of the records, before they were compressed.';

COMMENT ON COLUMN public.segments.codec IS '0: the records as they are; 1: zstd.';

COMMENT ON COLUMN public.segments.levels IS 'A bit for each level that its lines have; null: not known.';

COMMENT ON COLUMN public.segments.agents IS 'The agents that its lines name; null: not known.';

COMMENT ON COLUMN public.segments.pieces IS 'Of a merged segment: how its lines are numbered, and when each was committed.';

CREATE FUNCTION public.lock_lines(run uuid, from_line bigint, to_line bigint) RETURNS SETOF public.segments
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $_$
DECLARE
    known record;
    kind text;
BEGIN
    SELECT r.project_id, r.first_month, r.last_month INTO known FROM runs r WHERE r.id = run;
    IF known.first_month IS NULL THEN
        RETURN;
    END IF;
    PERFORM lock_segments(known.project_id);
    FOREACH kind IN ARRAY ARRAY['s.first_line IS NOT NULL AND s.pieces IS NULL', 's.pieces IS NOT NULL'] LOOP
        RETURN QUERY EXECUTE format(
            'SELECT s.* FROM segments s
             WHERE s.run_id = $1 AND %s AND s.last_line >= $2 AND s.first_line <= $3 AND s.at >= %L AND s.at < %L
             ORDER BY s.last_line FOR UPDATE',
            kind, known.first_month::timestamptz, (known.last_month + interval '1 month')::timestamptz)
        USING run, from_line, to_line;
    END LOOP;
END
$_$;

CREATE FUNCTION public.lock_segments(project uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(segments_lock(project));
    -- A row that isn't there couldn't be locked, and would come with the old sizes.
    INSERT INTO project_storage (project_id, epoch)
    SELECT c.project_id, c.epoch FROM project_counters c JOIN projects p ON p.id = c.project_id
    WHERE c.project_id = project AND p.deleted_at IS NULL ON CONFLICT DO NOTHING;
    PERFORM FROM project_storage WHERE project_id = project FOR UPDATE;
END
$$;

CREATE FUNCTION public.make_late_partition(moment timestamp with time zone) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $$
DECLARE
    first_day timestamptz := date_trunc('day', moment);
    partition_name text := format('runtime_events_%s', to_char(first_day, 'YYYYMMDD'));
BEGIN
    IF moment > clock_timestamp() + interval '2 days' OR moment < clock_timestamp() - interval '1 year' THEN
        RAISE EXCEPTION 'not a time for which a partition is made: %', moment;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
    IF to_regclass(format('public.%I', partition_name)) IS NULL THEN
        EXECUTE format('CREATE TABLE public.%I (LIKE public.runtime_events INCLUDING ALL)', partition_name);
        EXECUTE format('ALTER TABLE public.runtime_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                       partition_name, first_day, first_day + interval '1 day');
    END IF;
END
$$;

CREATE FUNCTION public.make_partition(parent regclass, moment timestamp with time zone) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $$
DECLARE
    unit text := partition_unit(parent);
    begins timestamptz := date_trunc(unit, moment);
    partition_name text := partition_of(parent, moment);
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
    IF to_regclass(format('public.%I', partition_name)) IS NOT NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', partition_name, parent::text);
    EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                   parent::text, partition_name, begins, begins + ('1 ' || unit)::interval);
    RETURN 1;
END
$$;

CREATE FUNCTION public.make_partitions(parent regclass, days_ahead integer) RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $$
    SELECT coalesce(sum(make_partition(parent, begins)), 0)::integer
    FROM generate_series(date_trunc(partition_unit(parent), clock_timestamp() - interval '1 day'),
                         date_trunc(partition_unit(parent), clock_timestamp() + make_interval(days => days_ahead)),
                         ('1 ' || partition_unit(parent))::interval) AS begins
$$;

CREATE FUNCTION public.may_bring_people() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT acting_is_admin() OR cardinality(acting_projects('owner')) > 0
$$;

CREATE FUNCTION public.may_end_stuck_sessions() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT (pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
            AND pg_has_role(current_user, 'pg_signal_backend', 'USAGE'))
        OR NOT EXISTS (
            SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'runcast%'
              AND NOT pg_has_role(current_user, usesysid, 'USAGE'))
$$;

CREATE TABLE public.invitations (
    id uuid NOT NULL,
    token_hash bytea NOT NULL,
    login text NOT NULL,
    project_id uuid,
    role text,
    invited_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    accepted_by uuid,
    accepted_at timestamp with time zone,
    revoked_at timestamp with time zone,
    needs_confirmation boolean DEFAULT false NOT NULL,
    confirmed_at timestamp with time zone,
    confirmed_by text,
    is_by_admin boolean DEFAULT false NOT NULL,
    invited_by_key uuid,
    CONSTRAINT invitations_check CHECK (((project_id IS NULL) = (role IS NULL))),
    CONSTRAINT invitations_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'editor'::text, 'reporter'::text, 'viewer'::text])))
);

COMMENT ON COLUMN public.invitations.is_by_admin IS 'Its maker was an administrator at that time, perhaps by what an external token said.';

CREATE FUNCTION public.may_still_invite(invitation public.invitations) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT (invitation.invited_by_key IS NULL OR EXISTS (
            SELECT FROM key_rights(invitation.invited_by_key) r WHERE r.is_admin OR r.role = 'owner'))
       AND (invitation.invited_by IS NULL OR EXISTS (
            SELECT FROM users u WHERE u.id = invitation.invited_by AND u.disabled_at IS NULL
            AND (u.is_admin OR invitation.is_by_admin OR EXISTS (
                SELECT FROM project_members m WHERE m.user_id = u.id
                AND m.project_id = invitation.project_id AND m.role = 'owner'))))
$$;

CREATE FUNCTION public.measure_project(project uuid, batch integer) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public'
    AS $_$
DECLARE
    history project_counters;
    known project_storage;
    month date;
    next_seq bigint;
    new record;
BEGIN
    SELECT * INTO history FROM project_counters WHERE project_id = project;
    IF NOT FOUND THEN RETURN 0; END IF;
    INSERT INTO project_storage (project_id, epoch) VALUES (project, history.epoch) ON CONFLICT DO NOTHING;
    SELECT * INTO known FROM project_storage WHERE project_id = project FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN 0; END IF;
    IF known.epoch <> history.epoch OR known.upto_seq > history.last_seq THEN
        UPDATE project_storage SET epoch = history.epoch, upto_seq = 0, bytes = 0, lines = 0, events = 0,
            oldest_at = NULL WHERE project_id = project RETURNING * INTO known;
    END IF;
    month := month_of_number(project, known.upto_seq + 1);
    IF month IS NULL THEN RETURN 0; END IF;
    EXECUTE format(
        'SELECT count(*) AS segments, coalesce(sum(count), 0) AS events, max(last_seq) AS upto, min(at) AS oldest,
                coalesce(sum(count) FILTER (WHERE first_line IS NOT NULL), 0) AS lines,
                coalesce(sum(octet_length(body)), 0) AS bytes
         FROM (SELECT * FROM segments WHERE project_id = $1 AND last_seq > $2 AND last_seq <= $3 AND %s
               ORDER BY last_seq LIMIT $4) uncounted', in_month(month))
    INTO new USING project, known.upto_seq, history.last_seq, batch;
    IF new.segments = 0 THEN
        -- The month is counted. Numbers go on in the next one.
        SELECT min(m.first_seq) INTO next_seq FROM segment_months m
        WHERE m.project_id = project AND m.first_seq > known.upto_seq + 1;
        new.upto := coalesce(next_seq - 1, history.last_seq);
    END IF;
    UPDATE project_storage SET upto_seq = new.upto, bytes = bytes + new.bytes, lines = lines + new.lines,
        events = events + new.events, oldest_at = coalesce(oldest_at, new.oldest), measured_at = clock_timestamp()
    WHERE project_id = project;
    RETURN CASE WHEN new.upto < history.last_seq THEN batch ELSE new.segments END;
END
$_$;

CREATE FUNCTION public.merge_segments(project uuid, run uuid, in_this_month date, last_seqs bigint[], versions text[], new_first_seq bigint, new_first_line bigint, new_count integer, new_size integer, new_codec smallint, new_levels smallint, new_agents text[], new_pieces bytea, new_body bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $_$
DECLARE
    known project_storage;
    number_locked bigint;
    old record;
BEGIN
    -- Only tried: what is being erased is left for another time.
    IF NOT pg_try_advisory_xact_lock(segments_lock(project)) THEN
        RAISE serialization_failure USING MESSAGE = 'segments of the project are being changed';
    END IF;
    SELECT * INTO known FROM project_storage WHERE project_id = project FOR UPDATE;
    IF FOUND AND known.upto_seq < last_seqs[cardinality(last_seqs)] THEN
        RETURN false;
    END IF;
    EXECUTE format(
        'SELECT count(*) FROM (SELECT FROM segments WHERE project_id = $1 AND last_seq = ANY ($2) AND %s
                               FOR UPDATE SKIP LOCKED) locked', in_month(in_this_month))
    INTO number_locked USING project, last_seqs;
    IF number_locked <> cardinality(last_seqs) THEN
        RAISE serialization_failure USING MESSAGE = 'a segment is being changed';
    END IF;
    EXECUTE format(
        'WITH deleted AS (
             DELETE FROM segments WHERE project_id = $1 AND last_seq = ANY ($2) AND run_id = $3
                 AND first_line IS NOT NULL AND %s
             RETURNING first_seq, last_seq, first_line, last_line, count, at, octet_length(body) AS bytes,
                       xmin::text AS version
         )
         SELECT array_agg(version ORDER BY last_seq) AS versions, min(first_seq) AS first_seq,
                max(last_seq) AS last_seq, min(first_line) AS first_line, max(last_line) AS last_line,
                sum(count) AS count, max(at) AS at, sum(bytes) AS bytes FROM deleted',
        in_month(in_this_month)) INTO old USING project, last_seqs, run;
    IF (old.versions, old.first_seq, old.first_line, old.last_line, old.count) IS DISTINCT FROM
       (versions, new_first_seq, new_first_line, new_first_line + new_count - 1, new_count::bigint) THEN
        RAISE serialization_failure USING MESSAGE = 'the segments have changed';
    END IF;
    INSERT INTO segments (project_id, run_id, first_seq, last_seq, at, first_line, last_line, count, size, codec,
                          levels, agents, pieces, body)
    VALUES (project, run, old.first_seq, old.last_seq, old.at, old.first_line, old.last_line, new_count, new_size,
            new_codec, new_levels, new_agents, new_pieces, new_body);
    UPDATE project_storage SET bytes = bytes - old.bytes + octet_length(new_body) WHERE project_id = project;
    RETURN true;
END
$_$;

CREATE FUNCTION public.month_of_number(project uuid, seq bigint) RETURNS date
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'public'
    AS $$
    SELECT coalesce(
        (SELECT max(month) FROM segment_months WHERE project_id = project AND first_seq <= seq),
        (SELECT min(month) FROM segment_months WHERE project_id = project))
$$;

CREATE FUNCTION public.note_sign_in(signed_in uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    UPDATE users SET last_sign_in_at = now() WHERE id = signed_in;
    DELETE FROM sessions WHERE user_id = signed_in AND expires_at < now() - interval '7 days';
$$;

CREATE FUNCTION public.notified_people(who uuid) RETURNS TABLE(user_id uuid, is_admin boolean, projects uuid[], roles text[])
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT u.id, u.is_admin, coalesce(array_agg(m.project_id) FILTER (WHERE m.role IS NOT NULL), '{}'),
           coalesce(array_agg(m.role) FILTER (WHERE m.role IS NOT NULL), '{}')
    FROM notification_settings s JOIN users u ON u.id = s.user_id
    LEFT JOIN project_members m ON m.user_id = u.id
    WHERE u.disabled_at IS NULL AND u.deleted_at IS NULL AND (who IS NULL OR u.id = who)
    GROUP BY u.id, u.is_admin
$$;

CREATE FUNCTION public.number_run() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO run_counters AS c (project_id, last_number)
    VALUES (NEW.project_id, coalesce(NEW.number, 1))
    ON CONFLICT (project_id) DO UPDATE
        SET last_number = greatest(c.last_number + (NEW.number IS NULL)::integer, NEW.number)
    RETURNING coalesce(NEW.number, last_number) INTO NEW.number;
    RETURN NEW;
END
$$;

CREATE FUNCTION public.open_invitation(presented bytea) RETURNS TABLE(id uuid, login text, project_id uuid, project_name text, role text, expires_at timestamp with time zone, user_id uuid, is_confirmed boolean)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT i.id, i.login, i.project_id, p.name, i.role, i.expires_at, u.id,
           NOT i.needs_confirmation OR i.confirmed_at IS NOT NULL
    FROM invitations i LEFT JOIN projects p ON p.id = i.project_id LEFT JOIN users u ON u.login = i.login
    WHERE i.token_hash = presented AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > now()
      AND may_still_invite(i)
$$;

CREATE FUNCTION public.openid_holder(fresh uuid, named text, verified_login text, said_email text, said_name text) RETURNS TABLE(user_id uuid, is_disabled boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    linked uuid;
BEGIN
    IF NOT EXISTS (SELECT FROM users u WHERE u.subject = named) THEN
        UPDATE users u SET subject = named
        WHERE verified_login IS NOT NULL AND u.login = verified_login AND u.subject IS NULL
        RETURNING u.id INTO linked;
        IF linked IS NOT NULL THEN
            INSERT INTO audit_log (actor, user_id, action, subject, details)
            VALUES ('user:' || linked, linked, 'identity_linked', linked,
                    json_build_object('provider_subject', named, 'dropped', forget_ways_in(linked)));
        ELSE
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

CREATE FUNCTION public.overwrite_segments(project uuid, numbers bigint[], moments timestamp with time zone[], codecs smallint[], sizes integer[], bodies bytea[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    AS $_$
DECLARE
    counted_upto bigint;
    first_at timestamptz;
    last_at timestamptz;
    more bigint;
BEGIN
    PERFORM lock_segments(project);
    SELECT upto_seq INTO counted_upto FROM project_storage WHERE project_id = project;
    SELECT min(m), max(m) INTO first_at, last_at FROM unnest(moments) m;
    EXECUTE format(
        'WITH overwritten AS (
            UPDATE segments s SET codec = n.codec, size = n.size, body = n.body
            FROM unnest($2, $3, $4, $5, $6) AS n (number, moment, codec, size, body)
            JOIN segments t ON t.project_id = $1 AND t.last_seq = n.number AND t.at = n.moment
                AND t.at >= %1$L AND t.at <= %2$L
            WHERE s.project_id = $1 AND s.last_seq = n.number AND s.at = n.moment
                AND s.at >= %1$L AND s.at <= %2$L
            RETURNING s.last_seq, octet_length(s.body) - octet_length(t.body) AS more
        )
        SELECT sum(o.more) FROM overwritten o WHERE o.last_seq <= $7', first_at, last_at)
    INTO more USING project, numbers, moments, codecs, sizes, bodies, counted_upto;
    UPDATE project_storage SET bytes = bytes + more WHERE project_id = project AND more IS NOT NULL;
END
$_$;

CREATE FUNCTION public.partition_of(parent regclass, moment timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'public'
    SET "TimeZone" TO 'UTC'
    AS $$
    SELECT format('%s_%s', parent,
                  to_char(moment, CASE parent::text WHEN 'segments' THEN 'YYYYMM' ELSE 'YYYYMMDD' END))
$$;

CREATE FUNCTION public.partition_unit(parent regclass) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'public'
    AS $$
BEGIN
    IF parent::text = 'segments' THEN RETURN 'month'; END IF;
    IF parent::text = 'runtime_events' THEN RETURN 'day'; END IF;
    RAISE EXCEPTION 'not a table with partitions by time: %', parent;
END
$$;

CREATE FUNCTION public.password_of(presented_login text) RETURNS TABLE(user_id uuid, hash text, is_disabled boolean)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT u.id, p.hash, u.disabled_at IS NOT NULL FROM users u JOIN passwords p ON p.user_id = u.id
    WHERE u.login = presented_login
$$;

CREATE FUNCTION public.person_at(address text) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT u.id FROM users u
    WHERE u.login = lower(address) AND u.disabled_at IS NULL AND u.deleted_at IS NULL AND may_bring_people()
$$;

CREATE FUNCTION public.project_exists(project uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT EXISTS (SELECT FROM projects WHERE id = project AND deleted_at IS NULL)
$$;

CREATE FUNCTION public.project_id_taken(project uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT EXISTS (SELECT FROM projects WHERE id = project)
$$;

CREATE FUNCTION public.purge_project(project uuid, batch integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
    gone integer;
    picked uuid[];
BEGIN
    IF NOT EXISTS (SELECT FROM projects WHERE id = project AND deleted_at IS NOT NULL) THEN
        RAISE EXCEPTION 'project % is not deleted', project;
    END IF;
    PERFORM lock_segments(project);
    DELETE FROM segments WHERE (project_id, last_seq, at) IN (
        SELECT s.project_id, s.last_seq, s.at FROM segments s WHERE s.project_id = project LIMIT batch);
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
    WITH chosen AS (
        DELETE FROM tasks WHERE id IN (
            SELECT t.id FROM tasks t WHERE t.project_id = project
            ORDER BY t.parent_id NULLS LAST LIMIT batch) RETURNING id)
    INSERT INTO tombstones SELECT id FROM chosen ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN RETURN gone; END IF;
    DELETE FROM segment_months WHERE project_id = project;
    DELETE FROM share_links WHERE project_id = project;
    DELETE FROM stream_tickets WHERE project_id = project;
    DELETE FROM invitations WHERE project_id = project;
    DELETE FROM queue_counts WHERE project_id = project;
    UPDATE runs SET retry_of = NULL WHERE project_id = project AND retry_of IS NOT NULL;
    picked := ARRAY(
        SELECT r.id FROM runs r WHERE r.project_id = project ORDER BY r.id LIMIT greatest(1, batch / 10));
    DELETE FROM run_metrics WHERE (run_id, name, place) IN (
        SELECT m.run_id, m.name, m.place FROM run_metrics m WHERE m.run_id = ANY (picked) LIMIT batch);
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN RETURN gone; END IF;
    WITH chosen AS (
        DELETE FROM runs WHERE id = ANY (picked) RETURNING id)
    INSERT INTO tombstones SELECT id FROM chosen ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN RETURN gone; END IF;
    DELETE FROM project_members WHERE project_id = project;
    DELETE FROM api_keys WHERE project_id = project;
    UPDATE projects SET purged_at = clock_timestamp() WHERE id = project;
    RETURN 0;
END
$$;

CREATE FUNCTION public.rebuild_sparse_index(at_least bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET lock_timeout TO '2s'
    AS $$
DECLARE
    found text;
BEGIN
    SELECT i.indexrelid::regclass::text INTO found
    FROM pg_inherits h JOIN pg_class t ON t.oid = h.inhrelid JOIN pg_index i ON i.indrelid = t.oid
    WHERE h.inhparent = 'segments'::regclass AND t.reltuples >= 0
      AND pg_relation_size(i.indexrelid) > greatest(at_least, 4 * 64 * t.reltuples::bigint)
      AND to_date(right(t.relname, 6), 'YYYYMM') + interval '1 month 2 hours' < clock_timestamp()
    LIMIT 1;
    IF found IS NOT NULL THEN
        EXECUTE format('REINDEX INDEX %s', found);
    END IF;
    RETURN found;
END
$$;

CREATE FUNCTION public.rename_me(wanted_name text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    UPDATE users SET name = wanted_name WHERE id = acting_user()
$$;

CREATE FUNCTION public.renew_session(presented bytea, fresh bytea, sibling uuid, lasts interval) RETURNS TABLE(id uuid, user_id uuid, expires_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    renewed sessions;
BEGIN
    DELETE FROM spent_session_tokens t WHERE t.spent_at < now() - interval '1 minute';
    UPDATE sessions s SET token_hash = fresh, expires_at = now() + lasts, used_at = now()
    FROM users u WHERE s.token_hash = presented AND s.revoked_at IS NULL AND s.expires_at > now()
      AND u.id = s.user_id AND u.disabled_at IS NULL
    RETURNING s.* INTO renewed;
    IF FOUND THEN
        INSERT INTO spent_session_tokens (token_hash, session_id) VALUES (presented, renewed.id);
    ELSE
        UPDATE spent_session_tokens t SET siblings = t.siblings + 1
        FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE t.token_hash = presented AND t.spent_at > now() - interval '30 seconds' AND t.siblings < 8
          AND s.id = t.session_id AND s.revoked_at IS NULL AND s.expires_at > now()
          AND u.disabled_at IS NULL
        RETURNING s.* INTO renewed;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        INSERT INTO sessions (id, user_id, token_hash, method, client, address, expires_at)
        VALUES (sibling, renewed.user_id, fresh, renewed.method, renewed.client, renewed.address,
                now() + lasts)
        RETURNING * INTO renewed;
    END IF;
    RETURN QUERY SELECT renewed.id, renewed.user_id, renewed.expires_at;
END
$$;

CREATE FUNCTION public.role_of_rank(rank integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT (ARRAY['guest', 'viewer', 'reporter', 'editor', 'owner'])[rank]
$$;

CREATE FUNCTION public.role_rank(role text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog'
    AS $$
    SELECT array_position(ARRAY['guest', 'viewer', 'reporter', 'editor', 'owner'], role)
$$;

CREATE FUNCTION public.run_words(id uuid, key text, name text, agent_name text, agent_type text, current_step text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT id::text || coalesce(' ' || key, '') || coalesce(' ' || name, '') || coalesce(' ' || agent_name, '')
        || coalesce(' ' || agent_type, '') || coalesce(' ' || current_step, '')
$$;

CREATE FUNCTION public.segments_lock(project uuid) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog'
    AS $$
    SELECT hashtextextended('segments of ' || project::text, 0)
$$;

CREATE FUNCTION public.session_holder(presented bytea) RETURNS TABLE(id uuid, user_id uuid, is_admin boolean, expires_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION public.share_link_holder(presented bytea) RETURNS TABLE(id uuid, project_id uuid, run_id uuid, expires_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
BEGIN
    UPDATE share_links SET last_used_at = now()
    WHERE token_hash = presented AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute');
    RETURN QUERY
        SELECT l.id, l.project_id, l.run_id, l.expires_at FROM share_links l
        WHERE l.token_hash = presented AND share_link_is_good(l.id);
END
$$;

CREATE FUNCTION public.share_link_is_good(link uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT EXISTS (
        SELECT FROM share_links l
        WHERE l.id = link AND l.revoked_at IS NULL AND (l.expires_at IS NULL OR l.expires_at > now())
          AND (l.made_by_key IS NULL OR EXISTS (
            SELECT FROM key_rights(living_successor(l.made_by_key)) r
            WHERE r.is_admin OR role_rank(r.role) >= role_rank('editor')))
          AND (l.created_by IS NULL OR EXISTS (
            SELECT FROM users u WHERE u.id = l.created_by AND u.disabled_at IS NULL
            AND (u.is_admin OR l.is_by_admin OR EXISTS (
                SELECT FROM project_members m WHERE m.user_id = u.id AND m.project_id = l.project_id
                AND role_rank(m.role) >= role_rank('editor'))))))
$$;

CREATE FUNCTION public.shut_out(numbers integer[], users uuid[], sessions uuid[], keys uuid[], links uuid[], are_admins boolean[], projects uuid[]) RETURNS SETOF integer
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT c.number
    FROM unnest(numbers, users, sessions, keys, links, are_admins, projects)
        AS c (number, user_id, session_id, key_id, link_id, is_admin, project_id)
    WHERE NOT CASE
        WHEN c.key_id IS NOT NULL THEN EXISTS (
            SELECT FROM api_keys k, LATERAL key_rights(k.id) r
            WHERE k.id = c.key_id AND (r.is_admin OR k.project_id = c.project_id))
        WHEN c.link_id IS NOT NULL THEN EXISTS (
            SELECT FROM share_links l WHERE l.id = c.link_id AND l.project_id = c.project_id
            AND share_link_is_good(l.id))
        ELSE EXISTS (
            SELECT FROM users u WHERE u.id = c.user_id AND u.disabled_at IS NULL
            AND (c.is_admin OR u.is_admin OR EXISTS (
                SELECT FROM project_members m WHERE m.user_id = u.id AND m.project_id = c.project_id)))
            AND (c.session_id IS NULL OR EXISTS (
                SELECT FROM sessions s WHERE s.id = c.session_id AND s.revoked_at IS NULL
                AND s.expires_at > now()))
    END
$$;

CREATE FUNCTION public.stream_cookie_holder(presented bytea, wanted_path text) RETURNS TABLE(principal json, project_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT t.principal, t.project_id FROM stream_tickets t
    WHERE t.cookie_hash = presented AND t.path = wanted_path AND t.cookie_expires_at > now()
$$;

CREATE FUNCTION public.subject_holder(fresh uuid, named text, said_email text, said_name text) RETURNS TABLE(user_id uuid, is_admin boolean, is_disabled boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY SELECT u.id, u.is_admin, u.disabled_at IS NOT NULL FROM users u WHERE u.subject = named;
    IF NOT FOUND THEN
        INSERT INTO users (id, subject, email, name) VALUES (fresh, named, said_email, said_name)
        ON CONFLICT (subject) DO NOTHING;
        RETURN QUERY SELECT u.id, u.is_admin, u.disabled_at IS NOT NULL FROM users u WHERE u.subject = named;
    END IF;
END
$$;

CREATE FUNCTION public.take_back_invitations() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION public.take_lines(of_stream text, of_epoch bigint, from_id text, to_id text, source_runs uuid[], source_names text[], generations integer[], begin_lines bigint[], end_lines bigint[], begin_offsets bigint[], end_offsets bigint[], files text[], of_projects uuid[], of_runs uuid[], are_lines boolean[], from_lines bigint[], counts integer[], sizes integer[], codecs smallint[], levels smallint[], agents text[], bodies bytea[]) RETURNS TABLE(place bigint, history bigint, first_number bigint, first_line_number bigint)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public'
    AS $$
DECLARE
    moved bigint;
BEGIN
    IF of_stream IS NOT NULL THEN
        PERFORM FROM ingest_cursor c WHERE c.stream = of_stream FOR UPDATE;
        UPDATE ingest_cursor c SET last_id = to_id, updated_at = clock_timestamp()
        WHERE c.stream = of_stream AND c.stream_epoch = of_epoch AND c.last_id = from_id;
        IF NOT FOUND THEN
            RETURN;
        END IF;
    END IF;
    IF cardinality(source_runs) > 1 THEN
        PERFORM FROM log_sources s JOIN unnest(source_runs, source_names) AS n (run_id, source)
            USING (run_id, source)
        ORDER BY s.run_id, s.source FOR UPDATE OF s;
    END IF;
    UPDATE log_sources s
    SET next_line = n.end_line, next_offset = n.end_offset, lines = s.lines + n.end_line - n.begin_line,
        bytes = s.bytes + greatest(n.end_offset - n.begin_offset, 0), file = coalesce(n.file::json, s.file),
        updated_at = clock_timestamp()
    FROM unnest(source_runs, source_names, generations, begin_lines, end_lines, begin_offsets, end_offsets, files)
        AS n (run_id, source, generation, begin_line, end_line, begin_offset, end_offset, file)
    WHERE s.run_id = n.run_id AND s.source = n.source AND s.generation = n.generation
      AND s.next_line = n.begin_line AND s.next_offset = n.begin_offset
      AND s.closed_reason IS NULL AND s.bytes_after_end = 0;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(source_runs) THEN
        RAISE serialization_failure USING MESSAGE = 'a source of lines has moved';
    END IF;
    RETURN QUERY SELECT * FROM take_numbers(of_projects, of_runs, are_lines, from_lines, counts, sizes, codecs,
                                            levels, agents, bodies);
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(counts) THEN
        RAISE serialization_failure USING MESSAGE = 'a run is gone';
    END IF;
END
$$;

CREATE FUNCTION public.take_numbers(of_projects uuid[], of_runs uuid[], are_lines boolean[], from_lines bigint[], counts integer[], sizes integer[], codecs smallint[], levels smallint[], agents text[], bodies bytea[]) RETURNS TABLE(place bigint, history bigint, first_number bigint, first_line_number bigint)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public'
    AS $$
BEGIN
    RETURN QUERY
    WITH given AS (
        SELECT * FROM unnest(of_projects, of_runs, are_lines, from_lines, counts, sizes, codecs, levels, agents, bodies)
            WITH ORDINALITY AS g (project_id, run_id, is_line, from_line, count, size, codec, level, agent, body, n)
    ), locked AS (
        SELECT r.id, w.total FROM runs r JOIN (
            SELECT g.run_id, g.project_id,
                   coalesce(sum(g.count) FILTER (WHERE g.is_line AND g.from_line IS NULL), 0) AS total
            FROM given g WHERE g.run_id IS NOT NULL GROUP BY g.run_id, g.project_id
        ) w ON r.id = w.run_id AND r.project_id = w.project_id
        JOIN project_counters c ON c.project_id = w.project_id
        WHERE w.total > 0 OR r.last_month IS DISTINCT FROM date_trunc('month',
            greatest(clock_timestamp() + interval '1 minute', c.last_at) AT TIME ZONE 'UTC')::date
        ORDER BY r.id FOR NO KEY UPDATE OF r
    ), moved AS (
        UPDATE runs r
        SET last_line_number = r.last_line_number + l.total, heard_at = greatest(r.heard_at, clock_timestamp())
        FROM locked l WHERE r.id = l.id AND l.total > 0
        RETURNING r.id, r.last_line_number - l.total AS base
    ), kept AS (
        SELECT g.*, CASE
            WHEN NOT g.is_line THEN NULL
            WHEN g.from_line IS NOT NULL THEN g.from_line
            ELSE m.base + 1 - g.count + sum(g.count) FILTER (WHERE g.from_line IS NULL)
                OVER (PARTITION BY g.run_id, g.is_line ORDER BY g.n)
        END::bigint AS line, sum(g.count) OVER (PARTITION BY g.project_id ORDER BY g.n) - g.count AS before
        FROM given g LEFT JOIN moved m ON m.id = g.run_id
        WHERE NOT g.is_line OR g.from_line IS NOT NULL OR m.id IS NOT NULL
    ), counted AS (
        SELECT c.project_id, w.total FROM project_counters c
        JOIN (SELECT k.project_id, sum(k.count) AS total FROM kept k GROUP BY k.project_id) w USING (project_id)
        ORDER BY c.project_id FOR UPDATE OF c
    ), taken AS (
        UPDATE project_counters c
        SET last_seq = c.last_seq + w.total, last_at = greatest(clock_timestamp(), c.last_at)
        FROM counted w WHERE c.project_id = w.project_id
        RETURNING c.project_id, c.epoch, c.last_seq - w.total AS base, c.last_at
    ), begun AS (
        INSERT INTO segment_months (project_id, month, first_seq)
        SELECT t.project_id, m.month, t.base + 1
        FROM taken t, LATERAL (SELECT date_trunc('month', t.last_at AT TIME ZONE 'UTC')::date AS month) m
        WHERE NOT EXISTS (
            SELECT FROM segment_months s WHERE s.project_id = t.project_id AND s.month = m.month)
        ON CONFLICT DO NOTHING
    ), stored AS (
        INSERT INTO segments (project_id, run_id, first_seq, last_seq, at, first_line, last_line, count, size,
                              codec, levels, agents, body)
        SELECT k.project_id, k.run_id, t.base + k.before + 1, t.base + k.before + k.count, t.last_at, k.line,
               k.line + k.count - 1, k.count, k.size, k.codec, k.level,
               string_to_array(k.agent, E'\n'), k.body
        FROM kept k JOIN taken t USING (project_id)
    )
    SELECT k.n, t.epoch, (t.base + k.before + 1)::bigint, k.line FROM kept k JOIN taken t USING (project_id);

    UPDATE runs r SET first_month = coalesce(r.first_month, m.month), last_month = m.month
    FROM project_counters c, LATERAL (SELECT date_trunc('month', c.last_at AT TIME ZONE 'UTC')::date AS month) m
    WHERE r.id = ANY (of_runs) AND c.project_id = r.project_id AND r.last_month IS DISTINCT FROM m.month;
END
$$;

CREATE FUNCTION public.tell_of_closed_question() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
BEGIN
    PERFORM pg_notify('runcast_questions', NEW.id::text);
    RETURN NULL;
END
$$;

CREATE FUNCTION public.text_grams(given text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT coalesce(array_agg(DISTINCT substr(t, n, 3)), '{}')
    FROM lower(given) AS lowered (t), generate_series(1, length(t) - 2) AS places (n)
$$;

CREATE FUNCTION public.use_answer_link(presented bytea) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    UPDATE answer_links SET used_at = now()
    WHERE token_hash = presented AND used_at IS NULL AND expires_at > now() RETURNING true
$$;

CREATE FUNCTION public.use_sign_in_link(presented bytea) RETURNS uuid
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    UPDATE sign_in_links l SET used_at = now() FROM users u
    WHERE l.token_hash = presented AND l.used_at IS NULL AND l.expires_at > now()
      AND u.id = l.user_id AND u.disabled_at IS NULL
    RETURNING l.user_id
$$;

CREATE FUNCTION public.use_stream_ticket(presented bytea, wanted_path text, fresh_cookie bytea, cookie_lasts interval) RETURNS TABLE(principal json, project_id uuid)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION public.writing_keys(presented bytea[]) RETURNS TABLE(token_hash bytea, project_id uuid, is_admin boolean)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    SELECT k.token_hash, k.project_id, r.is_admin FROM api_keys k, LATERAL key_rights(k.id) r
    WHERE k.token_hash = ANY (presented)
      AND (r.is_admin OR role_rank(r.role) >= role_rank('reporter'))
$$;

CREATE TABLE public.answer_links (
    token_hash bytea NOT NULL,
    user_id uuid NOT NULL,
    question_id uuid NOT NULL,
    option text NOT NULL,
    via text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone
);

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
    replaces uuid,
    made_by_key uuid,
    is_by_admin boolean DEFAULT false NOT NULL,
    replaced_at timestamp with time zone,
    full_expires_at timestamp with time zone,
    CONSTRAINT api_keys_check CHECK ((is_admin OR ((project_id IS NOT NULL) AND (role IS NOT NULL)))),
    CONSTRAINT api_keys_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'editor'::text, 'reporter'::text, 'viewer'::text])))
);

COMMENT ON COLUMN public.api_keys.token_hash IS 'SHA-256 of the token; tokens carry 256 random bits.';

COMMENT ON COLUMN public.api_keys.replaces IS 'The key that this one took over from by rotation.';

COMMENT ON COLUMN public.api_keys.is_by_admin IS 'Its maker was an administrator at that time, perhaps by what an external token said.';

COMMENT ON COLUMN public.api_keys.full_expires_at IS 'When it would have ended if it had not been replaced; successors end then.';

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

CREATE TABLE public.audit_log (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor text NOT NULL,
    user_id uuid,
    action text NOT NULL,
    project_id uuid,
    subject text,
    details json DEFAULT '{}'::json NOT NULL,
    address text
);

COMMENT ON COLUMN public.audit_log.actor IS 'The principal: user:…, key:…, or anonymous before a sign-in.';

ALTER TABLE public.audit_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.away (
    principal text NOT NULL,
    user_id uuid,
    since timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON COLUMN public.away.user_id IS 'Null: an administrator''s key; it stands for keys that nobody made.';

CREATE TABLE public.erased_objects (
    object_key text NOT NULL,
    project_id uuid NOT NULL
);

CREATE TABLE public.erased_runs (
    run_id uuid NOT NULL,
    project_id uuid NOT NULL,
    next_line bigint DEFAULT 1 NOT NULL,
    last_line bigint NOT NULL,
    next_seq bigint DEFAULT 0
);

CREATE VIEW public.events WITH (security_invoker='true') AS
 SELECT s.project_id,
    ((s.first_seq + r.place) - 1) AS seq,
    s.at,
        CASE
            WHEN (s.first_line IS NULL) THEN split_part(r.record, ' '::text, 1)
            ELSE 'agent:log'::text
        END AS type,
    s.run_id,
    ((s.first_line + r.place) - 1) AS line_number,
    (
        CASE
            WHEN (s.first_line IS NULL) THEN substr(r.record, (strpos(r.record, ' '::text) + 1))
            ELSE format('{"run_id":"%s","line_number":%s,%s'::text, s.run_id, ((s.first_line + r.place) - 1), r.record)
        END)::json AS data
   FROM public.segments s,
    LATERAL string_to_table(convert_from(s.body, 'UTF8'::name), '
'::text) WITH ORDINALITY r(record, place)
  WHERE ((s.codec = 0) AND (s.pieces IS NULL));

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

CREATE TABLE public.ingest_leases (
    stream text NOT NULL,
    process uuid,
    until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.ingest_processes (
    process uuid NOT NULL,
    until timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

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
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    is_by_admin boolean DEFAULT false NOT NULL,
    spool text,
    zone text
)
WITH (fillfactor='50');

COMMENT ON COLUMN public.log_sources.next_line IS 'The line of this generation that comes next, from 1.';

COMMENT ON COLUMN public.log_sources.next_offset IS 'The byte of this generation at which that line starts.';

COMMENT ON COLUMN public.log_sources.lines IS 'Lines stored over all generations.';

COMMENT ON COLUMN public.log_sources.file IS 'Which file the cursor belongs to: device, inode, hash of the bytes before it.';

COMMENT ON COLUMN public.log_sources.path IS 'Set where a tail was asked for over the API.';

COMMENT ON COLUMN public.log_sources.is_by_admin IS 'An administrator asked for this tail.';

COMMENT ON COLUMN public.log_sources.spool IS 'The spool that the cursor belongs to: the id of its first message.';

COMMENT ON COLUMN public.log_sources.zone IS 'The time zone (IANA) of times without an offset in the followed file; the tailer''s own where it is null.';

CREATE TABLE public.notification_cursors (
    project_id uuid NOT NULL,
    "position" bigint NOT NULL
);

CREATE TABLE public.notification_presence (
    user_id uuid NOT NULL,
    place text NOT NULL,
    until timestamp with time zone NOT NULL
);

CREATE TABLE public.notification_settings (
    user_id uuid NOT NULL,
    rules json NOT NULL,
    details boolean DEFAULT false NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON COLUMN public.notification_settings.details IS 'Whether messages hold what agents ask, besides who asks.';

CREATE TABLE public.notification_targets (
    user_id uuid NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    url text,
    secret json NOT NULL,
    failing_since timestamp with time zone,
    error text,
    disabled_reason text,
    unsaid integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT notification_targets_kind_check CHECK ((kind = ANY (ARRAY['ntfy'::text, 'webpush'::text, 'apprise'::text])))
);

COMMENT ON COLUMN public.notification_targets.url IS 'Shown to the person alone; null where the address itself is a secret.';

COMMENT ON COLUMN public.notification_targets.secret IS 'Address and tokens, as they are sent; only runcast_log reads it.';

COMMENT ON COLUMN public.notification_targets.unsaid IS 'How many matters were too many to be kept, for the next summary.';

CREATE TABLE public.notifications (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    target_id text NOT NULL,
    subject text NOT NULL,
    kind text NOT NULL,
    project_id uuid,
    run_id uuid,
    question_id uuid,
    state text DEFAULT 'waiting'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    at timestamp with time zone NOT NULL,
    next_at timestamp with time zone NOT NULL,
    sending_until timestamp with time zone,
    began_at timestamp with time zone,
    ended_at timestamp with time zone,
    error text,
    CONSTRAINT notifications_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'sent'::text, 'closing'::text, 'closed'::text, 'summed'::text, 'dropped'::text, 'failed'::text])))
);

CREATE TABLE public.otlp_records (
    project_id uuid NOT NULL,
    id uuid NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.otlp_runs (
    run_id uuid NOT NULL,
    project_id uuid NOT NULL,
    closes_at timestamp with time zone NOT NULL
);

CREATE TABLE public.otlp_traces (
    project_id uuid NOT NULL,
    trace_id uuid NOT NULL,
    run_id uuid NOT NULL,
    span_id text,
    heard_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.passwords (
    user_id uuid NOT NULL,
    hash text NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON COLUMN public.passwords.hash IS 'argon2id, with its salt and costs.';

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

CREATE TABLE public.project_storage (
    project_id uuid NOT NULL,
    epoch bigint NOT NULL,
    upto_seq bigint DEFAULT 0 NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL,
    lines bigint DEFAULT 0 NOT NULL,
    events bigint DEFAULT 0 NOT NULL,
    oldest_at timestamp with time zone,
    measured_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (fillfactor='50');

COMMENT ON COLUMN public.project_storage.epoch IS 'The history that was counted; another one is counted from its beginning.';

COMMENT ON COLUMN public.project_storage.upto_seq IS 'Events up to this number are counted.';

COMMENT ON COLUMN public.project_storage.oldest_at IS 'When the oldest counted event was committed; null where none is kept.';

CREATE TABLE public.projects (
    id uuid NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    created_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    purged_at timestamp with time zone,
    retention jsonb DEFAULT '{}'::jsonb NOT NULL,
    quota jsonb DEFAULT '{}'::jsonb NOT NULL,
    run_budget json
);

COMMENT ON COLUMN public.projects.deleted_at IS 'The row stays as a tombstone: the id is never taken again.';

CREATE TABLE public.push_keys (
    id boolean DEFAULT true NOT NULL,
    private text NOT NULL,
    public text NOT NULL,
    CONSTRAINT push_keys_id_check CHECK (id)
);

COMMENT ON TABLE public.push_keys IS 'VAPID (RFC 8292). Only runcast_log reads `private`.';

CREATE TABLE public.questions (
    id uuid NOT NULL,
    project_id uuid NOT NULL,
    run_id uuid NOT NULL,
    kind text NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    title text NOT NULL,
    body text,
    tool json,
    options json,
    multiple boolean DEFAULT false NOT NULL,
    takes_text boolean DEFAULT false NOT NULL,
    parts json,
    schema json,
    "default" json,
    answerable boolean NOT NULL,
    via text NOT NULL,
    asked_by json NOT NULL,
    asker text NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    on_expiry text DEFAULT 'none'::text NOT NULL,
    answer json,
    closed_at timestamp with time zone,
    dedupe_key text,
    context json,
    CONSTRAINT questions_check CHECK (((state = 'open'::text) = (closed_at IS NULL))),
    CONSTRAINT questions_kind_check CHECK ((kind = ANY (ARRAY['permission'::text, 'choice'::text, 'text'::text, 'plan'::text, 'form'::text, 'notice'::text]))),
    CONSTRAINT questions_on_expiry_check CHECK ((on_expiry = ANY (ARRAY['none'::text, 'deny'::text, 'default'::text]))),
    CONSTRAINT questions_state_check CHECK ((state = ANY (ARRAY['open'::text, 'answered'::text, 'expired'::text, 'cancelled'::text, 'resolved_elsewhere'::text])))
);

COMMENT ON COLUMN public.questions.asker IS 'The principal that asked, who may take the question back.';

COMMENT ON COLUMN public.questions.context IS 'What turns the answer into the words of the agent''s own program; never shown.';

CREATE TABLE public.queue_counts (
    project_id uuid NOT NULL,
    status text NOT NULL,
    number bigint NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.queue_samples (
    at timestamp with time zone NOT NULL,
    status text NOT NULL,
    number bigint NOT NULL
);

CREATE TABLE public.run_aliases (
    project_id uuid NOT NULL,
    alias text NOT NULL,
    run_id uuid NOT NULL
);

CREATE TABLE public.run_counters (
    project_id uuid NOT NULL,
    last_number bigint NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.run_messages (
    id uuid NOT NULL,
    project_id uuid NOT NULL,
    run_id uuid NOT NULL,
    text text NOT NULL,
    said_by json NOT NULL,
    queued_at timestamp with time zone NOT NULL,
    delivered_at timestamp with time zone,
    how text,
    CONSTRAINT run_messages_check CHECK (((delivered_at IS NULL) = (how IS NULL)))
);

CREATE TABLE public.run_metrics (
    project_id uuid NOT NULL,
    run_id uuid NOT NULL,
    name text NOT NULL,
    place integer NOT NULL,
    step bigint,
    value double precision NOT NULL,
    at timestamp with time zone NOT NULL
);

COMMENT ON COLUMN public.run_metrics.place IS 'Counts 1, 2, 3 … for each name of a run.';

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
    first_month date,
    last_month date,
    number bigint NOT NULL,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    parent_run_id uuid,
    attention jsonb,
    usage json,
    aliases text[] DEFAULT '{}'::text[] NOT NULL,
    awaits_answer boolean DEFAULT false NOT NULL,
    cancelled_by text,
    budget json,
    budget_spent smallint DEFAULT 0 NOT NULL,
    directory_speaks boolean DEFAULT true NOT NULL,
    is_bare boolean DEFAULT false NOT NULL,
    metrics json DEFAULT '{}'::json NOT NULL,
    CONSTRAINT runs_check CHECK ((parent_run_id <> id)),
    CONSTRAINT runs_liveness_check CHECK ((liveness = ANY (ARRAY['ok'::text, 'stalled'::text, 'lost'::text]))),
    CONSTRAINT runs_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'awaiting_feedback'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])))
)
WITH (fillfactor='70');

COMMENT ON COLUMN public.runs.is_watched IS 'Liveness is judged: it sent a heartbeat once, or was started by SDK, CLI or claim.';

COMMENT ON COLUMN public.runs.heard_at IS 'When anything was last reported by or for this run.';

COMMENT ON COLUMN public.runs.expected_at IS 'The time by which the worker promised to be heard again.';

COMMENT ON COLUMN public.runs.number IS 'Counts 1, 2, 3 … in the project, in the order of creation.';

COMMENT ON COLUMN public.runs.attention IS 'What the run needs from a person: kind, since, summary, question_id.';

COMMENT ON COLUMN public.runs.usage IS 'Tokens and cost of this run alone; descendants are added when it is read.';

COMMENT ON COLUMN public.runs.aliases IS 'A copy of run_aliases, in the order given.';

COMMENT ON COLUMN public.runs.cancelled_by IS 'By what name whoever cancelled it is told to the agent.';

COMMENT ON COLUMN public.runs.budget_spent IS 'The highest threshold, in percent, that was told of: 0, 80, 100.';

COMMENT ON COLUMN public.runs.metrics IS 'The last value of each metric.';

CREATE TABLE public.runtime_events (
    id uuid NOT NULL,
    layer text NOT NULL,
    operation text NOT NULL,
    reason_code text NOT NULL,
    entity_id text NOT NULL,
    task_id uuid,
    persona_id uuid,
    worker_id text,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT runtime_events_layer_check CHECK ((layer = ANY (ARRAY['provider_runtime'::text, 'tool_runtime'::text, 'model_adapter'::text, 'execution'::text, 'dispatcher'::text, 'worker'::text]))),
    CONSTRAINT runtime_events_operation_check CHECK ((operation = ANY (ARRAY['CALL'::text, 'FALLBACK'::text, 'RETRY'::text, 'TOOL_CALL'::text, 'TOOL_LOOP'::text, 'TASK'::text, 'HEARTBEAT'::text, 'BREAKER'::text])))
)
PARTITION BY RANGE (occurred_at);

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);

CREATE TABLE public.segment_compaction (
    project_id uuid NOT NULL,
    upto_seq bigint DEFAULT 0 NOT NULL,
    looked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE public.segment_months (
    project_id uuid NOT NULL,
    month date NOT NULL,
    first_seq bigint NOT NULL
);

CREATE TABLE public.sessions (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    method text NOT NULL,
    client text DEFAULT ''::text NOT NULL,
    address text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    used_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT sessions_method_check CHECK ((method = ANY (ARRAY['password'::text, 'link'::text, 'invitation'::text, 'oidc'::text])))
);

COMMENT ON COLUMN public.sessions.client IS 'What the browser or program called itself.';

CREATE TABLE public.share_links (
    id uuid NOT NULL,
    token_hash bytea NOT NULL,
    project_id uuid NOT NULL,
    run_id uuid,
    created_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    made_by_key uuid,
    is_by_admin boolean DEFAULT true NOT NULL
);

COMMENT ON COLUMN public.share_links.run_id IS 'Set where the link shows one run and nothing else of its project.';

COMMENT ON COLUMN public.share_links.is_by_admin IS 'Its maker was an administrator at that time, perhaps by what an external token said.';

CREATE TABLE public.sign_in_links (
    token_hash bytea NOT NULL,
    user_id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone
);

CREATE TABLE public.spent_session_tokens (
    token_hash bytea NOT NULL,
    session_id uuid NOT NULL,
    spent_at timestamp with time zone DEFAULT now() NOT NULL,
    siblings integer DEFAULT 0 NOT NULL
);

CREATE TABLE public.stream_tickets (
    token_hash bytea NOT NULL,
    project_id uuid NOT NULL,
    principal json NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    path text,
    cookie_hash bytea,
    cookie_expires_at timestamp with time zone
);

CREATE TABLE public.task_dependencies (
    subtask_id uuid NOT NULL,
    depends_on_id uuid NOT NULL,
    project_id uuid NOT NULL,
    CONSTRAINT task_dependencies_check CHECK ((subtask_id <> depends_on_id))
);

CREATE TABLE public.task_transitions (
    id bigint NOT NULL,
    project_id uuid NOT NULL,
    task_id uuid NOT NULL,
    subtask_id uuid,
    old_status text,
    new_status text NOT NULL,
    actor text NOT NULL,
    worker_id text,
    run_id uuid,
    reason text,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON COLUMN public.task_transitions.actor IS 'Who: `user:<id>`, `key:<id>`, or `runcast` for what happens by itself.';

ALTER TABLE public.task_transitions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.task_transitions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasks (
    id uuid NOT NULL,
    project_id uuid NOT NULL,
    parent_id uuid,
    key text,
    kind text,
    title text NOT NULL,
    description text,
    input json,
    status text NOT NULL,
    "position" double precision NOT NULL,
    open_subtasks integer DEFAULT 0 NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    depends_on text[] DEFAULT '{}'::text[] NOT NULL,
    waits_for integer DEFAULT 0 NOT NULL,
    queued_at timestamp with time zone,
    attempt integer DEFAULT 1 NOT NULL,
    max_attempts integer DEFAULT 3 NOT NULL,
    worker_id text,
    claimed_at timestamp with time zone,
    lease_seconds double precision,
    lease_expires_at timestamp with time zone,
    run_id uuid,
    error text,
    skip_reason text,
    pr_url text,
    created_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tasks_queued CHECK (((queued_at IS NULL) OR (status = 'PENDING'::text))),
    CONSTRAINT tasks_status CHECK (
CASE
    WHEN (parent_id IS NULL) THEN (status = ANY (ARRAY['PLANNING'::text, 'ACTIVE'::text, 'DONE'::text, 'PLANNING_FAILED'::text]))
    ELSE (status = ANY (ARRAY['BLOCKED'::text, 'PENDING'::text, 'IN_PROGRESS'::text, 'IN_REVIEW'::text, 'COMPLETED'::text, 'MERGED'::text, 'FAILED'::text, 'SKIPPED'::text]))
END)
)
WITH (fillfactor='70');

COMMENT ON COLUMN public.tasks.open_subtasks IS 'Of a task: its subtasks that are not COMPLETED, MERGED or SKIPPED.';

COMMENT ON COLUMN public.tasks.depends_on IS 'The same as its rows in task_dependencies, in the order given; as text, so that boards list fast.';

COMMENT ON COLUMN public.tasks.waits_for IS 'How many of those are not done. Above 0: BLOCKED.';

COMMENT ON COLUMN public.tasks.queued_at IS 'From when on it may be claimed: set while it is PENDING and its task ACTIVE.';

COMMENT ON COLUMN public.tasks.lease_seconds IS 'By how much a heartbeat of its run extends the lease.';

COMMENT ON COLUMN public.tasks.lease_expires_at IS 'Set while a worker holds it.';

CREATE TABLE public.tombstones (
    id uuid NOT NULL
);

COMMENT ON TABLE public.tombstones IS 'Ids of runs and artifacts that were deleted.';

CREATE TABLE public.usage_daily (
    project_id uuid NOT NULL,
    day date NOT NULL,
    run_id uuid NOT NULL,
    model text NOT NULL,
    agent text NOT NULL,
    requests bigint DEFAULT 0 NOT NULL,
    input_tokens bigint DEFAULT 0 NOT NULL,
    output_tokens bigint DEFAULT 0 NOT NULL,
    cache_read_tokens bigint DEFAULT 0 NOT NULL,
    cache_write_tokens bigint DEFAULT 0 NOT NULL,
    reasoning_tokens bigint DEFAULT 0 NOT NULL,
    cost_usd double precision DEFAULT 0 NOT NULL,
    priced_tokens bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='80');

COMMENT ON COLUMN public.usage_daily.priced_tokens IS 'Of input and output together: those whose cost is known.';

CREATE TABLE public.usage_requests (
    project_id uuid NOT NULL,
    run_id uuid NOT NULL,
    id text NOT NULL
);

CREATE TABLE public.users (
    id uuid NOT NULL,
    subject text,
    email text,
    name text DEFAULT ''::text NOT NULL,
    is_admin boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    login text,
    disabled_at timestamp with time zone,
    last_sign_in_at timestamp with time zone,
    deleted_at timestamp with time zone
);

COMMENT ON COLUMN public.users.subject IS 'Who an external token says this is: its `sub`.';

COMMENT ON COLUMN public.users.email IS 'What an external token said; it proves nothing.';

COMMENT ON COLUMN public.users.login IS 'The e-mail address to sign in with, in lower case.';

COMMENT ON COLUMN public.users.deleted_at IS 'The row stays as a tombstone, without a name or an address.';

CREATE TABLE public.webhook_deliveries (
    id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    project_id uuid NOT NULL,
    event_id bigint NOT NULL,
    type text NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT now(),
    sending_until timestamp with time zone,
    status integer,
    error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone
);

CREATE TABLE public.webhooks (
    id uuid NOT NULL,
    project_id uuid NOT NULL,
    url text NOT NULL,
    types text[] NOT NULL,
    format text NOT NULL,
    secret text NOT NULL,
    old_secret text,
    old_secret_until timestamp with time zone,
    "position" bigint NOT NULL,
    failing_since timestamp with time zone,
    disabled_reason text,
    created_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    not_before timestamp with time zone
);

COMMENT ON COLUMN public.webhooks.secret IS 'Signs what is sent, so it is kept as it is; only runcast_log reads it.';

COMMENT ON COLUMN public.webhooks.failing_since IS 'The first failure since the last success.';

COMMENT ON COLUMN public.webhooks.disabled_reason IS 'Why nothing is sent; null while it is.';

COMMENT ON COLUMN public.webhooks.not_before IS 'Until then its receiver wants to be left alone (Retry-After); null or past: it gets what is due.';

CREATE TABLE public.worker_status (
    worker_id text NOT NULL,
    agent_type text NOT NULL,
    status text NOT NULL,
    circuit_open boolean DEFAULT false NOT NULL,
    circuit_reason text,
    last_heartbeat timestamp with time zone NOT NULL,
    current_task_id uuid,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT worker_status_status_check CHECK ((status = ANY (ARRAY['RUNNING'::text, 'IDLE'::text, 'DEGRADED'::text, 'STOPPED'::text])))
);

COMMENT ON COLUMN public.worker_status.updated_at IS 'When anything but the heartbeat last changed.';

ALTER TABLE ONLY public.answer_links
    ADD CONSTRAINT answer_links_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_run_id_step_name_version_key UNIQUE (run_id, step_name, version);

ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.away
    ADD CONSTRAINT away_pkey PRIMARY KEY (principal);

ALTER TABLE ONLY public.erased_objects
    ADD CONSTRAINT erased_objects_pkey PRIMARY KEY (object_key);

ALTER TABLE ONLY public.erased_runs
    ADD CONSTRAINT erased_runs_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (principal, route, key);

ALTER TABLE ONLY public.ingest_cursor
    ADD CONSTRAINT ingest_cursor_pkey PRIMARY KEY (stream);

ALTER TABLE ONLY public.ingest_leases
    ADD CONSTRAINT ingest_leases_pkey PRIMARY KEY (stream);

ALTER TABLE ONLY public.ingest_processes
    ADD CONSTRAINT ingest_processes_pkey PRIMARY KEY (process);

ALTER TABLE ONLY public.ingest_rejects
    ADD CONSTRAINT ingest_rejects_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT invitations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT invitations_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY public.log_sources
    ADD CONSTRAINT log_sources_pkey PRIMARY KEY (run_id, source);

ALTER TABLE ONLY public.notification_cursors
    ADD CONSTRAINT notification_cursors_pkey PRIMARY KEY (project_id);

ALTER TABLE ONLY public.notification_presence
    ADD CONSTRAINT notification_presence_pkey PRIMARY KEY (user_id, place);

ALTER TABLE ONLY public.notification_settings
    ADD CONSTRAINT notification_settings_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.notification_targets
    ADD CONSTRAINT notification_targets_pkey PRIMARY KEY (user_id, id);

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_user_id_target_id_subject_key UNIQUE (user_id, target_id, subject);

ALTER TABLE ONLY public.otlp_records
    ADD CONSTRAINT otlp_records_pkey PRIMARY KEY (project_id, id);

ALTER TABLE ONLY public.otlp_runs
    ADD CONSTRAINT otlp_runs_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY public.otlp_traces
    ADD CONSTRAINT otlp_traces_pkey PRIMARY KEY (project_id, trace_id);

ALTER TABLE ONLY public.passwords
    ADD CONSTRAINT passwords_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.project_counters
    ADD CONSTRAINT project_counters_pkey PRIMARY KEY (project_id);

ALTER TABLE ONLY public.project_members
    ADD CONSTRAINT project_members_pkey PRIMARY KEY (project_id, user_id);

ALTER TABLE ONLY public.project_storage
    ADD CONSTRAINT project_storage_pkey PRIMARY KEY (project_id);

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.push_keys
    ADD CONSTRAINT push_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.questions
    ADD CONSTRAINT questions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.questions
    ADD CONSTRAINT questions_run_id_dedupe_key_key UNIQUE (run_id, dedupe_key);

ALTER TABLE ONLY public.queue_counts
    ADD CONSTRAINT queue_counts_pkey PRIMARY KEY (project_id, status);

ALTER TABLE ONLY public.queue_samples
    ADD CONSTRAINT queue_samples_pkey PRIMARY KEY (at, status);

ALTER TABLE ONLY public.run_aliases
    ADD CONSTRAINT run_aliases_pkey PRIMARY KEY (project_id, alias);

ALTER TABLE ONLY public.run_counters
    ADD CONSTRAINT run_counters_pkey PRIMARY KEY (project_id);

ALTER TABLE ONLY public.run_messages
    ADD CONSTRAINT run_messages_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.run_metrics
    ADD CONSTRAINT run_metrics_pkey PRIMARY KEY (run_id, name, place);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.runtime_events
    ADD CONSTRAINT runtime_events_pkey PRIMARY KEY (id, occurred_at);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.segment_compaction
    ADD CONSTRAINT segment_compaction_pkey PRIMARY KEY (project_id);

ALTER TABLE ONLY public.segment_months
    ADD CONSTRAINT segment_months_pkey PRIMARY KEY (project_id, month);

ALTER TABLE ONLY public.segments
    ADD CONSTRAINT segments_pkey PRIMARY KEY (project_id, last_seq, at);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY public.share_links
    ADD CONSTRAINT share_links_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.share_links
    ADD CONSTRAINT share_links_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY public.sign_in_links
    ADD CONSTRAINT sign_in_links_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY public.spent_session_tokens
    ADD CONSTRAINT spent_session_tokens_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY public.stream_tickets
    ADD CONSTRAINT stream_tickets_cookie_hash_key UNIQUE (cookie_hash);

ALTER TABLE ONLY public.stream_tickets
    ADD CONSTRAINT stream_tickets_pkey PRIMARY KEY (token_hash);

ALTER TABLE ONLY public.task_dependencies
    ADD CONSTRAINT task_dependencies_pkey PRIMARY KEY (subtask_id, depends_on_id);

ALTER TABLE ONLY public.task_transitions
    ADD CONSTRAINT task_transitions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.tombstones
    ADD CONSTRAINT tombstones_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.usage_daily
    ADD CONSTRAINT usage_daily_pkey PRIMARY KEY (project_id, day, run_id, model);

ALTER TABLE ONLY public.usage_requests
    ADD CONSTRAINT usage_requests_pkey PRIMARY KEY (run_id, id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_login_key UNIQUE (login);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_subject_key UNIQUE (subject);

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_webhook_id_event_id_key UNIQUE (webhook_id, event_id);

ALTER TABLE ONLY public.webhooks
    ADD CONSTRAINT webhooks_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.worker_status
    ADD CONSTRAINT worker_status_pkey PRIMARY KEY (worker_id);

CREATE INDEX answer_links_expiring ON public.answer_links USING btree (expires_at);

CREATE INDEX answer_links_of_question ON public.answer_links USING btree (question_id);

CREATE INDEX answer_links_of_user ON public.answer_links USING btree (user_id);

CREATE INDEX api_keys_made_by ON public.api_keys USING btree (made_by_key) WHERE (made_by_key IS NOT NULL);

CREATE INDEX api_keys_of_project ON public.api_keys USING btree (project_id);

CREATE INDEX api_keys_of_replaced ON public.api_keys USING btree (replaces) WHERE (replaces IS NOT NULL);

CREATE INDEX audit_log_of_project ON public.audit_log USING btree (project_id, id) WHERE (project_id IS NOT NULL);

CREATE INDEX erased_objects_of_project ON public.erased_objects USING btree (project_id);

CREATE INDEX idempotency_keys_age ON public.idempotency_keys USING btree (created_at);

CREATE INDEX ingest_rejects_newest ON public.ingest_rejects USING btree (at);

CREATE INDEX invitations_of_inviter ON public.invitations USING btree (invited_by) WHERE (invited_by IS NOT NULL);

CREATE INDEX invitations_of_key ON public.invitations USING btree (invited_by_key) WHERE (invited_by_key IS NOT NULL);

CREATE INDEX invitations_of_project ON public.invitations USING btree (project_id);

CREATE INDEX log_sources_open ON public.log_sources USING btree (run_id) WHERE (closed_reason IS NULL);

CREATE INDEX log_sources_tailed ON public.log_sources USING btree (run_id) WHERE is_active;

CREATE INDEX notifications_begun ON public.notifications USING btree (user_id, began_at) WHERE (began_at IS NOT NULL);

CREATE INDEX notifications_due ON public.notifications USING btree (next_at) WHERE (state = ANY (ARRAY['waiting'::text, 'closing'::text]));

CREATE INDEX notifications_ended ON public.notifications USING btree (ended_at) WHERE (ended_at IS NOT NULL);

CREATE INDEX notifications_kept ON public.notifications USING btree (user_id, target_id) WHERE (state = ANY (ARRAY['waiting'::text, 'summed'::text]));

CREATE INDEX notifications_of_project ON public.notifications USING btree (project_id) WHERE (project_id IS NOT NULL);

CREATE INDEX notifications_of_question ON public.notifications USING btree (question_id) WHERE (question_id IS NOT NULL);

CREATE INDEX notifications_of_run ON public.notifications USING btree (run_id) WHERE (run_id IS NOT NULL);

CREATE INDEX otlp_records_by_age ON public.otlp_records USING brin (seen_at);

CREATE INDEX otlp_runs_by_end ON public.otlp_runs USING btree (closes_at);

CREATE INDEX otlp_runs_of_project ON public.otlp_runs USING btree (project_id);

CREATE INDEX otlp_traces_by_age ON public.otlp_traces USING btree (heard_at);

CREATE INDEX otlp_traces_of_run ON public.otlp_traces USING btree (run_id);

CREATE INDEX project_members_of_user ON public.project_members USING btree (user_id);

CREATE INDEX project_storage_oldest ON public.project_storage USING btree (oldest_at);

CREATE UNIQUE INDEX projects_slug ON public.projects USING btree (slug) WHERE (deleted_at IS NULL);

CREATE INDEX projects_to_purge ON public.projects USING btree (deleted_at) WHERE ((deleted_at IS NOT NULL) AND (purged_at IS NULL));

CREATE INDEX questions_asked ON public.questions USING btree (project_id, asked_at, id);

CREATE INDEX questions_expiring ON public.questions USING btree (expires_at) WHERE ((state = 'open'::text) AND (expires_at IS NOT NULL));

CREATE INDEX questions_open ON public.questions USING btree (project_id, asked_at, id) WHERE (state = 'open'::text);

CREATE INDEX questions_open_of_run ON public.questions USING btree (run_id, asked_at) WHERE (state = 'open'::text);

CREATE INDEX run_aliases_of_run ON public.run_aliases USING btree (run_id);

CREATE INDEX run_messages_queued ON public.run_messages USING btree (run_id, queued_at, id) WHERE (delivered_at IS NULL);

CREATE INDEX runs_active ON public.runs USING btree (project_id) WHERE (status = ANY (ARRAY['queued'::text, 'running'::text, 'awaiting_feedback'::text]));

CREATE INDEX runs_by_agent ON public.runs USING btree (project_id, agent_name, created_at DESC, id DESC) WHERE (agent_name IS NOT NULL);

CREATE INDEX runs_by_status ON public.runs USING btree (project_id, status, created_at DESC, id DESC);

CREATE INDEX runs_children ON public.runs USING btree (parent_run_id, created_at, id) WHERE (parent_run_id IS NOT NULL);

CREATE INDEX runs_grams ON public.runs USING gin (public.text_grams(public.run_words(id, key, name, agent_name, agent_type, current_step)));

CREATE INDEX runs_in_trouble ON public.runs USING btree (project_id, created_at DESC, id DESC) WHERE (liveness <> 'ok'::text);

CREATE UNIQUE INDEX runs_key ON public.runs USING btree (project_id, key) WHERE (key IS NOT NULL);

CREATE INDEX runs_labels ON public.runs USING gin (labels jsonb_path_ops) WHERE (labels <> '{}'::jsonb);

CREATE INDEX runs_need_attention ON public.runs USING btree (project_id, created_at, id) WHERE (attention IS NOT NULL);

CREATE INDEX runs_newest ON public.runs USING btree (project_id, created_at DESC, id DESC);

CREATE INDEX runs_newest_of_all ON public.runs USING btree (created_at DESC, id DESC);

CREATE UNIQUE INDEX runs_number ON public.runs USING btree (project_id, number);

CREATE INDEX runs_of_task ON public.runs USING btree (task_id) WHERE (task_id IS NOT NULL);

CREATE INDEX runtime_events_arrived ON ONLY public.runtime_events USING brin (created_at) WITH (pages_per_range='64', autosummarize='on');

COMMENT ON INDEX public.runtime_events_arrived IS 'For who watches live: what has arrived since the last look.';

CREATE INDEX runtime_events_entity ON ONLY public.runtime_events USING btree (entity_id, occurred_at DESC, id DESC);

CREATE INDEX runtime_events_layer ON ONLY public.runtime_events USING btree (layer, occurred_at DESC, id DESC);

CREATE INDEX runtime_events_newest ON ONLY public.runtime_events USING btree (occurred_at DESC, id DESC);

CREATE INDEX runtime_events_reason ON ONLY public.runtime_events USING btree (reason_code, occurred_at DESC, id DESC);

CREATE INDEX runtime_events_route ON ONLY public.runtime_events USING btree (worker_id, occurred_at DESC) WHERE (operation = ANY (ARRAY['CALL'::text, 'FALLBACK'::text]));

CREATE INDEX runtime_events_task ON ONLY public.runtime_events USING btree (task_id, occurred_at DESC, id DESC) WHERE (task_id IS NOT NULL);

CREATE INDEX runtime_events_worker ON ONLY public.runtime_events USING btree (worker_id, occurred_at DESC, id DESC) WHERE (worker_id IS NOT NULL);

CREATE INDEX segments_lines ON ONLY public.segments USING btree (run_id, last_line) WHERE ((first_line IS NOT NULL) AND (pieces IS NULL));

CREATE INDEX segments_lines_by_number ON ONLY public.segments USING btree (run_id, last_seq) WHERE ((first_line IS NOT NULL) AND (pieces IS NULL));

CREATE INDEX segments_merged ON ONLY public.segments USING btree (project_id, last_seq) WHERE (pieces IS NOT NULL);

CREATE INDEX segments_merged_by_number ON ONLY public.segments USING btree (run_id, last_seq) WHERE (pieces IS NOT NULL);

CREATE INDEX segments_merged_lines ON ONLY public.segments USING btree (run_id, last_line) WHERE (pieces IS NOT NULL);

CREATE INDEX segments_of_run ON ONLY public.segments USING btree (run_id, last_seq) WHERE ((first_line IS NULL) AND (run_id IS NOT NULL));

CREATE INDEX segments_without_logs ON ONLY public.segments USING btree (project_id, last_seq) WHERE (first_line IS NULL);

CREATE INDEX sessions_of_user ON public.sessions USING btree (user_id);

CREATE INDEX share_links_of_key ON public.share_links USING btree (made_by_key) WHERE (made_by_key IS NOT NULL);

CREATE INDEX share_links_of_project ON public.share_links USING btree (project_id);

CREATE INDEX share_links_of_run ON public.share_links USING btree (run_id) WHERE (run_id IS NOT NULL);

CREATE INDEX spent_session_tokens_of ON public.spent_session_tokens USING btree (session_id);

CREATE INDEX stream_tickets_age ON public.stream_tickets USING btree (expires_at);

CREATE INDEX task_dependencies_of ON public.task_dependencies USING btree (depends_on_id, subtask_id);

CREATE INDEX task_transitions_of ON public.task_transitions USING btree (task_id, id);

CREATE INDEX tasks_at_work ON public.tasks USING btree (project_id) WHERE (status = 'IN_PROGRESS'::text);

CREATE INDEX tasks_board ON public.tasks USING btree (project_id, "position", id) WHERE (parent_id IS NULL);

CREATE INDEX tasks_claimed ON public.tasks USING btree (project_id, claimed_at DESC) WHERE (claimed_at IS NOT NULL);

CREATE UNIQUE INDEX tasks_key ON public.tasks USING btree (parent_id, key) WHERE (key IS NOT NULL);

CREATE INDEX tasks_leases ON public.tasks USING btree (lease_expires_at) WHERE (lease_expires_at IS NOT NULL);

CREATE INDEX tasks_of_run ON public.tasks USING btree (run_id) WHERE (run_id IS NOT NULL);

CREATE INDEX tasks_of_task ON public.tasks USING btree (parent_id, "position", id) WHERE (parent_id IS NOT NULL);

CREATE INDEX tasks_queue ON public.tasks USING btree (project_id, priority DESC, queued_at, "position", id) WHERE (queued_at IS NOT NULL);

CREATE INDEX tasks_recent ON public.tasks USING btree (updated_at DESC, id DESC) WHERE (parent_id IS NOT NULL);

CREATE INDEX tasks_recent_by_status ON public.tasks USING btree (status, updated_at DESC, id DESC) WHERE (parent_id IS NOT NULL);

CREATE INDEX usage_daily_of_run ON public.usage_daily USING btree (run_id);

CREATE INDEX webhook_deliveries_due ON public.webhook_deliveries USING btree (webhook_id, next_at) WHERE (state = 'pending'::text);

CREATE INDEX webhook_deliveries_listed ON public.webhook_deliveries USING btree (webhook_id, created_at, id);

CREATE INDEX webhook_deliveries_of_project ON public.webhook_deliveries USING btree (project_id);

CREATE INDEX webhooks_of_project ON public.webhooks USING btree (project_id);

CREATE INDEX webhooks_of_user ON public.webhooks USING btree (created_by) WHERE (created_by IS NOT NULL);

CREATE INDEX worker_status_by_circuit ON public.worker_status USING btree (circuit_open, updated_at DESC);

CREATE INDEX worker_status_by_heartbeat ON public.worker_status USING btree (last_heartbeat DESC);

CREATE INDEX worker_status_by_status ON public.worker_status USING btree (status, updated_at DESC);

CREATE TRIGGER forget_links_of_changed AFTER UPDATE OF secret ON public.notification_targets FOR EACH ROW WHEN (((old.secret)::text <> (new.secret)::text)) EXECUTE FUNCTION public.forget_answer_links();

CREATE TRIGGER forget_links_of_removed AFTER DELETE ON public.notification_targets FOR EACH ROW EXECUTE FUNCTION public.forget_answer_links();

CREATE TRIGGER forget_notifications AFTER UPDATE OF deleted_at ON public.users FOR EACH ROW WHEN (((old.deleted_at IS NULL) AND (new.deleted_at IS NOT NULL))) EXECUTE FUNCTION public.forget_notifications();

CREATE TRIGGER forget_sign_ins AFTER UPDATE OF deleted_at ON public.projects FOR EACH ROW WHEN (((old.deleted_at IS NULL) AND (new.deleted_at IS NOT NULL))) EXECUTE FUNCTION public.forget_sign_ins();

CREATE TRIGGER forget_webhooks AFTER UPDATE OF deleted_at ON public.projects FOR EACH ROW WHEN (((old.deleted_at IS NULL) AND (new.deleted_at IS NOT NULL))) EXECUTE FUNCTION public.forget_webhooks();

CREATE TRIGGER keep_an_owner AFTER DELETE OR UPDATE ON public.project_members FOR EACH ROW EXECUTE FUNCTION public.keep_an_owner();

CREATE TRIGGER number_run BEFORE INSERT ON public.runs FOR EACH ROW EXECUTE FUNCTION public.number_run();

CREATE TRIGGER take_back_invitations_of_demoted AFTER UPDATE OF role ON public.project_members FOR EACH ROW WHEN (((old.role = 'owner'::text) AND (new.role <> 'owner'::text))) EXECUTE FUNCTION public.take_back_invitations();

CREATE TRIGGER take_back_invitations_of_disabled AFTER UPDATE OF disabled_at, is_admin ON public.users FOR EACH ROW WHEN ((((old.disabled_at IS NULL) AND (new.disabled_at IS NOT NULL)) OR (old.is_admin AND (NOT new.is_admin)))) EXECUTE FUNCTION public.take_back_invitations();

CREATE TRIGGER take_back_invitations_of_removed AFTER DELETE ON public.project_members FOR EACH ROW WHEN ((old.role = 'owner'::text)) EXECUTE FUNCTION public.take_back_invitations();

CREATE TRIGGER tasks_counted_in AFTER INSERT ON public.tasks REFERENCING NEW TABLE AS later FOR EACH STATEMENT EXECUTE FUNCTION public.count_queue();

CREATE TRIGGER tasks_counted_on AFTER UPDATE ON public.tasks REFERENCING OLD TABLE AS earlier NEW TABLE AS later FOR EACH STATEMENT EXECUTE FUNCTION public.count_queue();

CREATE TRIGGER tasks_counted_out AFTER DELETE ON public.tasks REFERENCING OLD TABLE AS earlier FOR EACH STATEMENT EXECUTE FUNCTION public.count_queue();

CREATE TRIGGER tell_of_closed_question AFTER UPDATE OF state ON public.questions FOR EACH ROW WHEN (((old.state = 'open'::text) AND (new.state <> 'open'::text))) EXECUTE FUNCTION public.tell_of_closed_question();

ALTER TABLE ONLY public.answer_links
    ADD CONSTRAINT answer_links_question_id_fkey FOREIGN KEY (question_id) REFERENCES public.questions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.answer_links
    ADD CONSTRAINT answer_links_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_made_by_key_fkey FOREIGN KEY (made_by_key) REFERENCES public.api_keys(id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_replaces_fkey FOREIGN KEY (replaces) REFERENCES public.api_keys(id);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id);

ALTER TABLE ONLY public.away
    ADD CONSTRAINT away_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.erased_runs
    ADD CONSTRAINT erased_runs_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.ingest_leases
    ADD CONSTRAINT ingest_leases_stream_fkey FOREIGN KEY (stream) REFERENCES public.ingest_cursor(stream);

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT invitations_accepted_by_fkey FOREIGN KEY (accepted_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT invitations_invited_by_fkey FOREIGN KEY (invited_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT invitations_invited_by_key_fkey FOREIGN KEY (invited_by_key) REFERENCES public.api_keys(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.invitations
    ADD CONSTRAINT invitations_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.log_sources
    ADD CONSTRAINT log_sources_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.log_sources
    ADD CONSTRAINT log_sources_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id);

ALTER TABLE ONLY public.notification_cursors
    ADD CONSTRAINT notification_cursors_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.notification_presence
    ADD CONSTRAINT notification_presence_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.notification_settings
    ADD CONSTRAINT notification_settings_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.notification_targets
    ADD CONSTRAINT notification_targets_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.notification_settings(user_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_question_id_fkey FOREIGN KEY (question_id) REFERENCES public.questions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_user_id_target_id_fkey FOREIGN KEY (user_id, target_id) REFERENCES public.notification_targets(user_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.otlp_runs
    ADD CONSTRAINT otlp_runs_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.otlp_runs
    ADD CONSTRAINT otlp_runs_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.otlp_traces
    ADD CONSTRAINT otlp_traces_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.otlp_traces
    ADD CONSTRAINT otlp_traces_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.passwords
    ADD CONSTRAINT passwords_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.project_counters
    ADD CONSTRAINT project_counters_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.project_members
    ADD CONSTRAINT project_members_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.project_members
    ADD CONSTRAINT project_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.project_storage
    ADD CONSTRAINT project_storage_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.questions
    ADD CONSTRAINT questions_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.questions
    ADD CONSTRAINT questions_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.run_aliases
    ADD CONSTRAINT run_aliases_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.run_aliases
    ADD CONSTRAINT run_aliases_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.run_counters
    ADD CONSTRAINT run_counters_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.run_messages
    ADD CONSTRAINT run_messages_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.run_messages
    ADD CONSTRAINT run_messages_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_parent_run_id_fkey FOREIGN KEY (parent_run_id) REFERENCES public.runs(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_retry_of_fkey FOREIGN KEY (retry_of) REFERENCES public.runs(id);

ALTER TABLE ONLY public.segment_compaction
    ADD CONSTRAINT segment_compaction_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.share_links
    ADD CONSTRAINT share_links_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.share_links
    ADD CONSTRAINT share_links_made_by_key_fkey FOREIGN KEY (made_by_key) REFERENCES public.api_keys(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.share_links
    ADD CONSTRAINT share_links_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.share_links
    ADD CONSTRAINT share_links_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.sign_in_links
    ADD CONSTRAINT sign_in_links_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.spent_session_tokens
    ADD CONSTRAINT spent_session_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.stream_tickets
    ADD CONSTRAINT stream_tickets_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.task_dependencies
    ADD CONSTRAINT task_dependencies_depends_on_id_fkey FOREIGN KEY (depends_on_id) REFERENCES public.tasks(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.task_dependencies
    ADD CONSTRAINT task_dependencies_subtask_id_fkey FOREIGN KEY (subtask_id) REFERENCES public.tasks(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.task_transitions
    ADD CONSTRAINT task_transitions_task_id_fkey FOREIGN KEY (task_id) REFERENCES public.tasks(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES public.tasks(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id);

ALTER TABLE ONLY public.usage_daily
    ADD CONSTRAINT usage_daily_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.usage_daily
    ADD CONSTRAINT usage_daily_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.usage_requests
    ADD CONSTRAINT usage_requests_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.usage_requests
    ADD CONSTRAINT usage_requests_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_webhook_id_fkey FOREIGN KEY (webhook_id) REFERENCES public.webhooks(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.webhooks
    ADD CONSTRAINT webhooks_created_by_fkey FOREIGN KEY (created_by) REFERENCES public.users(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.webhooks
    ADD CONSTRAINT webhooks_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

CREATE POLICY admins ON public.audit_log FOR SELECT TO runcast_request USING (( SELECT public.acting_is_admin() AS acting_is_admin));

CREATE POLICY admins ON public.ingest_rejects FOR SELECT TO runcast_request USING (( SELECT public.acting_is_admin() AS acting_is_admin));

CREATE POLICY admins ON public.queue_samples FOR SELECT TO runcast_request USING (( SELECT public.acting_is_admin() AS acting_is_admin));

CREATE POLICY admins ON public.runtime_events FOR SELECT TO runcast_request USING (( SELECT public.acting_is_admin() AS acting_is_admin));

CREATE POLICY admins ON public.sign_in_links FOR INSERT TO runcast_request WITH CHECK (( SELECT public.acting_is_admin() AS acting_is_admin));

CREATE POLICY admins ON public.worker_status FOR SELECT TO runcast_request USING (( SELECT public.acting_is_admin() AS acting_is_admin));

CREATE POLICY admins_add ON public.users FOR INSERT TO runcast_request WITH CHECK (( SELECT public.acting_is_admin() AS acting_is_admin));

CREATE POLICY admins_change ON public.users FOR UPDATE TO runcast_request USING (( SELECT public.acting_is_admin() AS acting_is_admin));

ALTER TABLE public.answer_links ENABLE ROW LEVEL SECURITY;

CREATE POLICY anyone ON public.audit_log FOR INSERT TO runcast_request WITH CHECK ((actor = ( SELECT public.acting_principal() AS acting_principal)));

ALTER TABLE public.api_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.artifacts ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.audit_log ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.away ENABLE ROW LEVEL SECURITY;

CREATE POLICY editors ON public.share_links TO runcast_request USING ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('editor'::text) AS acting_projects)::uuid[]))));

ALTER TABLE public.erased_objects ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.erased_runs ENABLE ROW LEVEL SECURITY;

CREATE POLICY event_log ON public.answer_links TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.artifacts TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.audit_log FOR INSERT TO runcast_log WITH CHECK (true);

CREATE POLICY event_log ON public.away FOR SELECT TO runcast_log USING (true);

CREATE POLICY event_log ON public.erased_objects TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.erased_runs TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.idempotency_keys TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.ingest_rejects TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.log_sources TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.notification_cursors TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.notification_presence TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.notification_settings TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.notification_targets TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.notifications TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.otlp_records TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.otlp_runs TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.otlp_traces TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.project_counters TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.project_storage TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.projects TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.push_keys TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.questions TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.queue_counts TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.queue_samples TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.run_aliases TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.run_messages TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.run_metrics TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.runs TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.runtime_events TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.segment_compaction TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.segment_months TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.segments TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.task_dependencies TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.task_transitions TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.tasks TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.usage_daily TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.usage_requests TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.webhook_deliveries TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.webhooks TO runcast_log USING (true) WITH CHECK (true);

CREATE POLICY event_log ON public.worker_status TO runcast_log USING (true) WITH CHECK (true);

ALTER TABLE public.idempotency_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.ingest_rejects ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.invitations ENABLE ROW LEVEL SECURITY;

CREATE POLICY known ON public.users FOR SELECT TO runcast_request USING ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (id = ( SELECT public.acting_user() AS acting_user)) OR (EXISTS ( SELECT
   FROM public.project_members m
  WHERE (m.user_id = users.id)))));

COMMENT ON POLICY known ON public.users IS 'Oneself, and with whom one shares a project: members are guarded too.';

ALTER TABLE public.log_sources ENABLE ROW LEVEL SECURITY;

CREATE POLICY members ON public.project_members FOR SELECT TO runcast_request USING ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (user_id = ( SELECT public.acting_user() AS acting_user)) OR (project_id = ANY (( SELECT public.acting_projects('viewer'::text) AS acting_projects)::uuid[]))));

CREATE POLICY members ON public.questions FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('viewer'::text) AS acting_projects)::uuid[]))) AND (( SELECT public.acting_run() AS acting_run) IS NULL)));

CREATE POLICY members ON public.run_messages FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('viewer'::text) AS acting_projects)::uuid[]))) AND (( SELECT public.acting_run() AS acting_run) IS NULL)));

ALTER TABLE public.notification_cursors ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.notification_presence ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.notification_settings ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.notification_targets ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.notifications ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.otlp_records ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.otlp_runs ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.otlp_traces ENABLE ROW LEVEL SECURITY;

CREATE POLICY own ON public.away TO runcast_request USING ((principal = ( SELECT public.acting_principal() AS acting_principal)));

CREATE POLICY own ON public.idempotency_keys TO runcast_request USING ((principal = ( SELECT public.acting_principal() AS acting_principal)));

CREATE POLICY own ON public.notification_presence TO runcast_request USING ((user_id = ( SELECT public.acting_user() AS acting_user)));

CREATE POLICY own ON public.notification_settings TO runcast_request USING ((user_id = ( SELECT public.acting_user() AS acting_user)));

CREATE POLICY own ON public.notification_targets TO runcast_request USING ((user_id = ( SELECT public.acting_user() AS acting_user)));

CREATE POLICY own ON public.passwords TO runcast_request USING ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (user_id = ( SELECT public.acting_user() AS acting_user))));

CREATE POLICY own ON public.sessions TO runcast_request USING ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (user_id = ( SELECT public.acting_user() AS acting_user))));

CREATE POLICY owners ON public.api_keys TO runcast_request USING ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('owner'::text) AS acting_projects)::uuid[])))) WITH CHECK ((( SELECT public.acting_is_admin() AS acting_is_admin) OR ((NOT is_admin) AND (project_id = ANY (( SELECT public.acting_projects('owner'::text) AS acting_projects)::uuid[])))));

CREATE POLICY owners ON public.invitations TO runcast_request USING ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('owner'::text) AS acting_projects)::uuid[]))));

CREATE POLICY owners ON public.projects FOR UPDATE TO runcast_request USING ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (id = ANY (( SELECT public.acting_projects('owner'::text) AS acting_projects)::uuid[]))));

CREATE POLICY owners ON public.webhook_deliveries TO runcast_request USING ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('owner'::text) AS acting_projects)::uuid[]))));

CREATE POLICY owners ON public.webhooks TO runcast_request USING ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('owner'::text) AS acting_projects)::uuid[]))));

CREATE POLICY owners_add ON public.project_members FOR INSERT TO runcast_request WITH CHECK ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('owner'::text) AS acting_projects)::uuid[]))));

CREATE POLICY owners_change ON public.project_members FOR UPDATE TO runcast_request USING ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('owner'::text) AS acting_projects)::uuid[]))));

CREATE POLICY owners_remove ON public.project_members FOR DELETE TO runcast_request USING ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (user_id = ( SELECT public.acting_user() AS acting_user)) OR (project_id = ANY (( SELECT public.acting_projects('owner'::text) AS acting_projects)::uuid[]))));

ALTER TABLE public.passwords ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.project_counters ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.project_members ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.project_storage ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.projects ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.push_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.questions ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.queue_counts ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.queue_samples ENABLE ROW LEVEL SECURITY;

CREATE POLICY readers ON public.artifacts FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR (run_id = ( SELECT public.acting_run() AS acting_run)))));

CREATE POLICY readers ON public.log_sources FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR (run_id = ( SELECT public.acting_run() AS acting_run)))));

CREATE POLICY readers ON public.otlp_records FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR false)));

CREATE POLICY readers ON public.otlp_runs FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR (run_id = ( SELECT public.acting_run() AS acting_run)))));

CREATE POLICY readers ON public.otlp_traces FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR (run_id = ( SELECT public.acting_run() AS acting_run)))));

CREATE POLICY readers ON public.project_counters FOR SELECT TO runcast_request USING ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))));

CREATE POLICY readers ON public.project_storage FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR false)));

CREATE POLICY readers ON public.projects FOR SELECT TO runcast_request USING ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))));

CREATE POLICY readers ON public.queue_counts FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR false)));

CREATE POLICY readers ON public.run_aliases FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR (run_id = ( SELECT public.acting_run() AS acting_run)))));

CREATE POLICY readers ON public.run_metrics FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR (run_id = ( SELECT public.acting_run() AS acting_run)))));

CREATE POLICY readers ON public.runs FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR (id = ( SELECT public.acting_run() AS acting_run)))));

CREATE POLICY readers ON public.segment_compaction FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR false)));

CREATE POLICY readers ON public.segment_months FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR false)));

CREATE POLICY readers ON public.segments FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR (run_id = ( SELECT public.acting_run() AS acting_run)))));

CREATE POLICY readers ON public.stream_tickets FOR INSERT TO runcast_request WITH CHECK ((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('viewer'::text) AS acting_projects)::uuid[]))));

CREATE POLICY readers ON public.task_dependencies FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR false)));

CREATE POLICY readers ON public.task_transitions FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR false)));

CREATE POLICY readers ON public.tasks FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR false)));

CREATE POLICY readers ON public.usage_daily FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR (run_id = ( SELECT public.acting_run() AS acting_run)))));

CREATE POLICY readers ON public.usage_requests FOR SELECT TO runcast_request USING (((( SELECT public.acting_is_admin() AS acting_is_admin) OR (project_id = ANY (( SELECT public.acting_projects('guest'::text) AS acting_projects)::uuid[]))) AND ((( SELECT public.acting_run() AS acting_run) IS NULL) OR (run_id = ( SELECT public.acting_run() AS acting_run)))));

ALTER TABLE public.run_aliases ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.run_counters ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.run_messages ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.run_metrics ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.runs ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.runtime_events ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.segment_compaction ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.segment_months ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.segments ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.sessions ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.share_links ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.sign_in_links ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.spent_session_tokens ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.stream_tickets ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.task_dependencies ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.task_transitions ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.tasks ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.usage_daily ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.usage_requests ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.users ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.webhook_deliveries ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.webhooks ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.worker_status ENABLE ROW LEVEL SECURITY;

REVOKE ALL ON FUNCTION public.accept_invitation(presented bytea, known uuid, fresh uuid, wanted_name text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.accept_invitation(presented bytea, known uuid, fresh uuid, wanted_name text) TO runcast_accounts;

REVOKE ALL ON FUNCTION public.answer_link(presented bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION public.answer_link(presented bytea) TO runcast_request;
GRANT ALL ON FUNCTION public.answer_link(presented bytea) TO runcast_log;

REVOKE ALL ON FUNCTION public.caller_name(person uuid, key uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.caller_name(person uuid, key uuid) TO runcast_log;

REVOKE ALL ON FUNCTION public.create_project(project uuid, wanted_slug text, wanted_name text, wanted_epoch bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.create_project(project uuid, wanted_slug text, wanted_name text, wanted_epoch bigint) TO runcast_accounts;

REVOKE ALL ON FUNCTION public.delete_project(project uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.delete_project(project uuid) TO runcast_accounts;

REVOKE ALL ON FUNCTION public.delete_user(account uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.delete_user(account uuid) TO runcast_accounts;

REVOKE ALL ON FUNCTION public.drop_empty_partitions() FROM PUBLIC;
GRANT ALL ON FUNCTION public.drop_empty_partitions() TO runcast_log;

REVOKE ALL ON FUNCTION public.drop_oldest(project uuid, older_than timestamp with time zone, failed_older_than timestamp with time zone, max_bytes bigint, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.drop_oldest(project uuid, older_than timestamp with time zone, failed_older_than timestamp with time zone, max_bytes bigint, batch integer) TO runcast_log;

REVOKE ALL ON FUNCTION public.drop_partitions(parent regclass, keep interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.drop_partitions(parent regclass, keep interval) TO runcast_log;

REVOKE ALL ON FUNCTION public.end_stuck_sessions(older_than interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.end_stuck_sessions(older_than interval) TO runcast_log;

REVOKE ALL ON FUNCTION public.erase_events(run uuid, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.erase_events(run uuid, batch integer) TO runcast_log;

REVOKE ALL ON FUNCTION public.erase_metrics(run uuid, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.erase_metrics(run uuid, batch integer) TO runcast_log;

REVOKE ALL ON FUNCTION public.find_people(pattern text, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.find_people(pattern text, most integer) TO runcast_request;

REVOKE ALL ON FUNCTION public.find_runs(words text[], patterns text[], of_project uuid, most integer, with_labels jsonb, in_statuses text[], of_agents text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.find_runs(words text[], patterns text[], of_project uuid, most integer, with_labels jsonb, in_statuses text[], of_agents text[]) TO runcast_request;

REVOKE ALL ON FUNCTION public.forget_answer_links() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.forget_audit(age interval, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.forget_audit(age interval, batch integer) TO runcast_log;

REVOKE ALL ON FUNCTION public.forget_notifications() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.forget_sign_ins() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.forget_ways_in(account uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.forget_ways_in(account uuid) TO runcast_accounts;

REVOKE ALL ON FUNCTION public.forget_webhooks() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.guard_project_table(guarded regclass, run_column text) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.in_month(month date, alias text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.in_month(month date, alias text) TO runcast_log;

REVOKE ALL ON FUNCTION public.keep_an_owner() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.key_depth(wanted uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.key_depth(wanted uuid) TO runcast_accounts;

REVOKE ALL ON FUNCTION public.key_holder(presented bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION public.key_holder(presented bytea) TO runcast_request;

REVOKE ALL ON FUNCTION public.key_owner_is_away(key uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.key_owner_is_away(key uuid) TO runcast_log;

REVOKE ALL ON FUNCTION public.key_rights(wanted uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.living_successor(key uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.living_successor(key uuid) TO runcast_accounts;

GRANT SELECT ON TABLE public.segments TO runcast_request;
GRANT SELECT,INSERT ON TABLE public.segments TO runcast_log;

REVOKE ALL ON FUNCTION public.lock_lines(run uuid, from_line bigint, to_line bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.lock_lines(run uuid, from_line bigint, to_line bigint) TO runcast_log;

REVOKE ALL ON FUNCTION public.lock_segments(project uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.make_late_partition(moment timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.make_late_partition(moment timestamp with time zone) TO runcast_log;

REVOKE ALL ON FUNCTION public.make_partition(parent regclass, moment timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.make_partitions(parent regclass, days_ahead integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.make_partitions(parent regclass, days_ahead integer) TO runcast_log;

REVOKE ALL ON FUNCTION public.may_bring_people() FROM PUBLIC;
GRANT ALL ON FUNCTION public.may_bring_people() TO runcast_request;

REVOKE ALL ON FUNCTION public.may_end_stuck_sessions() FROM PUBLIC;
GRANT ALL ON FUNCTION public.may_end_stuck_sessions() TO runcast_log;

GRANT INSERT ON TABLE public.invitations TO runcast_accounts;

GRANT SELECT(id) ON TABLE public.invitations TO runcast_request;

GRANT SELECT(login) ON TABLE public.invitations TO runcast_request;

GRANT SELECT(project_id) ON TABLE public.invitations TO runcast_request;

GRANT SELECT(role) ON TABLE public.invitations TO runcast_request;

GRANT SELECT(invited_by) ON TABLE public.invitations TO runcast_request;

GRANT SELECT(created_at) ON TABLE public.invitations TO runcast_request;

GRANT SELECT(expires_at) ON TABLE public.invitations TO runcast_request;

GRANT SELECT(accepted_by) ON TABLE public.invitations TO runcast_request;

GRANT SELECT(accepted_at) ON TABLE public.invitations TO runcast_request;

GRANT SELECT(revoked_at) ON TABLE public.invitations TO runcast_request;
GRANT UPDATE(revoked_at) ON TABLE public.invitations TO runcast_accounts;

GRANT SELECT(needs_confirmation) ON TABLE public.invitations TO runcast_request;

GRANT SELECT(confirmed_at) ON TABLE public.invitations TO runcast_request;
GRANT UPDATE(confirmed_at) ON TABLE public.invitations TO runcast_accounts;

GRANT SELECT(confirmed_by) ON TABLE public.invitations TO runcast_request;
GRANT UPDATE(confirmed_by) ON TABLE public.invitations TO runcast_accounts;

GRANT SELECT(is_by_admin) ON TABLE public.invitations TO runcast_request;

GRANT SELECT(invited_by_key) ON TABLE public.invitations TO runcast_request;
GRANT UPDATE(invited_by_key) ON TABLE public.invitations TO runcast_accounts;

REVOKE ALL ON FUNCTION public.may_still_invite(invitation public.invitations) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.measure_project(project uuid, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.measure_project(project uuid, batch integer) TO runcast_log;

REVOKE ALL ON FUNCTION public.merge_segments(project uuid, run uuid, in_this_month date, last_seqs bigint[], versions text[], new_first_seq bigint, new_first_line bigint, new_count integer, new_size integer, new_codec smallint, new_levels smallint, new_agents text[], new_pieces bytea, new_body bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION public.merge_segments(project uuid, run uuid, in_this_month date, last_seqs bigint[], versions text[], new_first_seq bigint, new_first_line bigint, new_count integer, new_size integer, new_codec smallint, new_levels smallint, new_agents text[], new_pieces bytea, new_body bytea) TO runcast_log;

REVOKE ALL ON FUNCTION public.month_of_number(project uuid, seq bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.month_of_number(project uuid, seq bigint) TO runcast_log;

REVOKE ALL ON FUNCTION public.note_sign_in(signed_in uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_sign_in(signed_in uuid) TO runcast_accounts;

REVOKE ALL ON FUNCTION public.notified_people(who uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.notified_people(who uuid) TO runcast_log;

REVOKE ALL ON FUNCTION public.number_run() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.open_invitation(presented bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION public.open_invitation(presented bytea) TO runcast_accounts;

REVOKE ALL ON FUNCTION public.openid_holder(fresh uuid, named text, verified_login text, said_email text, said_name text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.openid_holder(fresh uuid, named text, verified_login text, said_email text, said_name text) TO runcast_accounts;

REVOKE ALL ON FUNCTION public.overwrite_segments(project uuid, numbers bigint[], moments timestamp with time zone[], codecs smallint[], sizes integer[], bodies bytea[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.overwrite_segments(project uuid, numbers bigint[], moments timestamp with time zone[], codecs smallint[], sizes integer[], bodies bytea[]) TO runcast_log;

REVOKE ALL ON FUNCTION public.password_of(presented_login text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.password_of(presented_login text) TO runcast_accounts;

REVOKE ALL ON FUNCTION public.person_at(address text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.person_at(address text) TO runcast_request;

REVOKE ALL ON FUNCTION public.project_exists(project uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.project_exists(project uuid) TO runcast_request;

REVOKE ALL ON FUNCTION public.project_id_taken(project uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.project_id_taken(project uuid) TO runcast_request;

REVOKE ALL ON FUNCTION public.purge_project(project uuid, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.purge_project(project uuid, batch integer) TO runcast_log;

REVOKE ALL ON FUNCTION public.rebuild_sparse_index(at_least bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.rebuild_sparse_index(at_least bigint) TO runcast_log;

REVOKE ALL ON FUNCTION public.rename_me(wanted_name text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.rename_me(wanted_name text) TO runcast_accounts;

REVOKE ALL ON FUNCTION public.renew_session(presented bytea, fresh bytea, sibling uuid, lasts interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.renew_session(presented bytea, fresh bytea, sibling uuid, lasts interval) TO runcast_accounts;

REVOKE ALL ON FUNCTION public.segments_lock(project uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.session_holder(presented bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION public.session_holder(presented bytea) TO runcast_request;

REVOKE ALL ON FUNCTION public.share_link_holder(presented bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION public.share_link_holder(presented bytea) TO runcast_request;

REVOKE ALL ON FUNCTION public.share_link_is_good(link uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.share_link_is_good(link uuid) TO runcast_request;

REVOKE ALL ON FUNCTION public.shut_out(numbers integer[], users uuid[], sessions uuid[], keys uuid[], links uuid[], are_admins boolean[], projects uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.shut_out(numbers integer[], users uuid[], sessions uuid[], keys uuid[], links uuid[], are_admins boolean[], projects uuid[]) TO runcast_log;

REVOKE ALL ON FUNCTION public.stream_cookie_holder(presented bytea, wanted_path text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.stream_cookie_holder(presented bytea, wanted_path text) TO runcast_request;

REVOKE ALL ON FUNCTION public.subject_holder(fresh uuid, named text, said_email text, said_name text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.subject_holder(fresh uuid, named text, said_email text, said_name text) TO runcast_request;

REVOKE ALL ON FUNCTION public.take_back_invitations() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.take_lines(of_stream text, of_epoch bigint, from_id text, to_id text, source_runs uuid[], source_names text[], generations integer[], begin_lines bigint[], end_lines bigint[], begin_offsets bigint[], end_offsets bigint[], files text[], of_projects uuid[], of_runs uuid[], are_lines boolean[], from_lines bigint[], counts integer[], sizes integer[], codecs smallint[], levels smallint[], agents text[], bodies bytea[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.take_lines(of_stream text, of_epoch bigint, from_id text, to_id text, source_runs uuid[], source_names text[], generations integer[], begin_lines bigint[], end_lines bigint[], begin_offsets bigint[], end_offsets bigint[], files text[], of_projects uuid[], of_runs uuid[], are_lines boolean[], from_lines bigint[], counts integer[], sizes integer[], codecs smallint[], levels smallint[], agents text[], bodies bytea[]) TO runcast_log;

REVOKE ALL ON FUNCTION public.take_numbers(of_projects uuid[], of_runs uuid[], are_lines boolean[], from_lines bigint[], counts integer[], sizes integer[], codecs smallint[], levels smallint[], agents text[], bodies bytea[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.take_numbers(of_projects uuid[], of_runs uuid[], are_lines boolean[], from_lines bigint[], counts integer[], sizes integer[], codecs smallint[], levels smallint[], agents text[], bodies bytea[]) TO runcast_log;

REVOKE ALL ON FUNCTION public.tell_of_closed_question() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.use_answer_link(presented bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION public.use_answer_link(presented bytea) TO runcast_log;

REVOKE ALL ON FUNCTION public.use_sign_in_link(presented bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION public.use_sign_in_link(presented bytea) TO runcast_accounts;

REVOKE ALL ON FUNCTION public.use_stream_ticket(presented bytea, wanted_path text, fresh_cookie bytea, cookie_lasts interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.use_stream_ticket(presented bytea, wanted_path text, fresh_cookie bytea, cookie_lasts interval) TO runcast_request;

REVOKE ALL ON FUNCTION public.writing_keys(presented bytea[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.writing_keys(presented bytea[]) TO runcast_log;

GRANT INSERT,DELETE ON TABLE public.answer_links TO runcast_log;

GRANT SELECT(user_id) ON TABLE public.answer_links TO runcast_log;

GRANT SELECT(question_id) ON TABLE public.answer_links TO runcast_log;

GRANT SELECT(expires_at) ON TABLE public.answer_links TO runcast_log;

GRANT SELECT(used_at) ON TABLE public.answer_links TO runcast_log;

GRANT INSERT ON TABLE public.api_keys TO runcast_accounts;

GRANT SELECT(id) ON TABLE public.api_keys TO runcast_request;

GRANT SELECT(name) ON TABLE public.api_keys TO runcast_request;
GRANT UPDATE(name) ON TABLE public.api_keys TO runcast_accounts;

GRANT SELECT(project_id) ON TABLE public.api_keys TO runcast_request;

GRANT SELECT(role) ON TABLE public.api_keys TO runcast_request;

GRANT SELECT(is_admin) ON TABLE public.api_keys TO runcast_request;

GRANT SELECT(scopes) ON TABLE public.api_keys TO runcast_request;

GRANT SELECT(created_by) ON TABLE public.api_keys TO runcast_request;

GRANT SELECT(created_at) ON TABLE public.api_keys TO runcast_request;

GRANT SELECT(expires_at) ON TABLE public.api_keys TO runcast_request;
GRANT UPDATE(expires_at) ON TABLE public.api_keys TO runcast_accounts;

GRANT SELECT(revoked_at) ON TABLE public.api_keys TO runcast_request;
GRANT UPDATE(revoked_at) ON TABLE public.api_keys TO runcast_accounts;

GRANT SELECT(last_used_at) ON TABLE public.api_keys TO runcast_request;

GRANT SELECT(replaces) ON TABLE public.api_keys TO runcast_request;

GRANT SELECT(made_by_key) ON TABLE public.api_keys TO runcast_request;
GRANT UPDATE(made_by_key) ON TABLE public.api_keys TO runcast_accounts;

GRANT SELECT(is_by_admin) ON TABLE public.api_keys TO runcast_request;

GRANT SELECT(replaced_at) ON TABLE public.api_keys TO runcast_request;
GRANT UPDATE(replaced_at) ON TABLE public.api_keys TO runcast_accounts;

GRANT SELECT(full_expires_at) ON TABLE public.api_keys TO runcast_request;
GRANT UPDATE(full_expires_at) ON TABLE public.api_keys TO runcast_accounts;

GRANT SELECT ON TABLE public.artifacts TO runcast_request;
GRANT SELECT,INSERT,DELETE ON TABLE public.artifacts TO runcast_log;

GRANT SELECT ON TABLE public.audit_log TO runcast_request;
GRANT INSERT ON TABLE public.audit_log TO runcast_accounts;
GRANT INSERT ON TABLE public.audit_log TO runcast_log;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.away TO runcast_request;
GRANT SELECT ON TABLE public.away TO runcast_log;

GRANT SELECT,INSERT,DELETE ON TABLE public.erased_objects TO runcast_log;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.erased_runs TO runcast_log;

GRANT SELECT ON TABLE public.events TO runcast_request;
GRANT SELECT ON TABLE public.events TO runcast_log;

GRANT SELECT ON TABLE public.idempotency_keys TO runcast_request;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.idempotency_keys TO runcast_log;
GRANT INSERT,DELETE,UPDATE ON TABLE public.idempotency_keys TO runcast_accounts;

GRANT SELECT,UPDATE ON TABLE public.ingest_cursor TO runcast_log;

GRANT SELECT,UPDATE ON TABLE public.ingest_leases TO runcast_log;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.ingest_processes TO runcast_log;

GRANT SELECT ON TABLE public.ingest_rejects TO runcast_request;
GRANT SELECT,INSERT,DELETE ON TABLE public.ingest_rejects TO runcast_log;

GRANT SELECT ON TABLE public.log_sources TO runcast_request;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.log_sources TO runcast_log;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.notification_cursors TO runcast_log;

GRANT SELECT ON TABLE public.notification_presence TO runcast_request;
GRANT SELECT,DELETE ON TABLE public.notification_presence TO runcast_log;
GRANT INSERT,DELETE,UPDATE ON TABLE public.notification_presence TO runcast_accounts;

GRANT SELECT ON TABLE public.notification_settings TO runcast_request;
GRANT INSERT,DELETE,UPDATE ON TABLE public.notification_settings TO runcast_accounts;
GRANT SELECT ON TABLE public.notification_settings TO runcast_log;

GRANT UPDATE(updated_at) ON TABLE public.notification_settings TO runcast_log;

GRANT INSERT,DELETE ON TABLE public.notification_targets TO runcast_accounts;
GRANT SELECT ON TABLE public.notification_targets TO runcast_log;

GRANT SELECT(user_id) ON TABLE public.notification_targets TO runcast_request;

GRANT SELECT(id) ON TABLE public.notification_targets TO runcast_request;

GRANT SELECT(kind) ON TABLE public.notification_targets TO runcast_request;

GRANT SELECT(name) ON TABLE public.notification_targets TO runcast_request;
GRANT UPDATE(name) ON TABLE public.notification_targets TO runcast_accounts;

GRANT SELECT(url) ON TABLE public.notification_targets TO runcast_request;
GRANT UPDATE(url) ON TABLE public.notification_targets TO runcast_accounts;

GRANT UPDATE(secret) ON TABLE public.notification_targets TO runcast_accounts;

GRANT SELECT(failing_since) ON TABLE public.notification_targets TO runcast_request;
GRANT UPDATE(failing_since) ON TABLE public.notification_targets TO runcast_accounts;
GRANT UPDATE(failing_since) ON TABLE public.notification_targets TO runcast_log;

GRANT SELECT(error) ON TABLE public.notification_targets TO runcast_request;
GRANT UPDATE(error) ON TABLE public.notification_targets TO runcast_accounts;
GRANT UPDATE(error) ON TABLE public.notification_targets TO runcast_log;

GRANT SELECT(disabled_reason) ON TABLE public.notification_targets TO runcast_request;
GRANT UPDATE(disabled_reason) ON TABLE public.notification_targets TO runcast_accounts;
GRANT UPDATE(disabled_reason) ON TABLE public.notification_targets TO runcast_log;

GRANT UPDATE(unsaid) ON TABLE public.notification_targets TO runcast_log;

GRANT SELECT(created_at) ON TABLE public.notification_targets TO runcast_request;

GRANT SELECT(updated_at) ON TABLE public.notification_targets TO runcast_request;
GRANT UPDATE(updated_at) ON TABLE public.notification_targets TO runcast_accounts;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.notifications TO runcast_log;

GRANT SELECT,INSERT,DELETE ON TABLE public.otlp_records TO runcast_log;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.otlp_runs TO runcast_log;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.otlp_traces TO runcast_log;

GRANT INSERT,UPDATE ON TABLE public.passwords TO runcast_accounts;

GRANT SELECT(user_id) ON TABLE public.passwords TO runcast_request;

GRANT SELECT(changed_at) ON TABLE public.passwords TO runcast_request;

GRANT SELECT,UPDATE ON TABLE public.project_counters TO runcast_log;
GRANT SELECT ON TABLE public.project_counters TO runcast_request;

GRANT SELECT ON TABLE public.project_members TO runcast_request;
GRANT INSERT,DELETE,UPDATE ON TABLE public.project_members TO runcast_accounts;

GRANT SELECT ON TABLE public.project_storage TO runcast_request;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.project_storage TO runcast_log;

GRANT SELECT,UPDATE ON TABLE public.projects TO runcast_log;
GRANT SELECT ON TABLE public.projects TO runcast_request;

GRANT UPDATE(slug) ON TABLE public.projects TO runcast_accounts;

GRANT UPDATE(name) ON TABLE public.projects TO runcast_accounts;

GRANT UPDATE(updated_at) ON TABLE public.projects TO runcast_accounts;

GRANT UPDATE(retention) ON TABLE public.projects TO runcast_accounts;

GRANT UPDATE(quota) ON TABLE public.projects TO runcast_accounts;

GRANT UPDATE(run_budget) ON TABLE public.projects TO runcast_accounts;

GRANT SELECT,INSERT ON TABLE public.push_keys TO runcast_log;

GRANT SELECT ON TABLE public.questions TO runcast_request;
GRANT SELECT,INSERT,UPDATE ON TABLE public.questions TO runcast_log;

GRANT SELECT ON TABLE public.queue_counts TO runcast_request;
GRANT SELECT ON TABLE public.queue_counts TO runcast_log;

GRANT SELECT ON TABLE public.queue_samples TO runcast_request;
GRANT SELECT,INSERT,DELETE ON TABLE public.queue_samples TO runcast_log;

GRANT SELECT ON TABLE public.run_aliases TO runcast_request;
GRANT SELECT,INSERT,DELETE ON TABLE public.run_aliases TO runcast_log;

GRANT SELECT ON TABLE public.run_messages TO runcast_request;
GRANT SELECT,INSERT,UPDATE ON TABLE public.run_messages TO runcast_log;

GRANT SELECT ON TABLE public.run_metrics TO runcast_request;
GRANT SELECT,INSERT ON TABLE public.run_metrics TO runcast_log;

GRANT SELECT ON TABLE public.runs TO runcast_request;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.runs TO runcast_log;

GRANT SELECT ON TABLE public.runtime_events TO runcast_request;
GRANT SELECT,INSERT ON TABLE public.runtime_events TO runcast_log;

GRANT SELECT ON TABLE public.schema_migrations TO runcast_request;
GRANT SELECT ON TABLE public.schema_migrations TO runcast_log;
GRANT SELECT ON TABLE public.schema_migrations TO runcast_accounts;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.segment_compaction TO runcast_log;

GRANT SELECT ON TABLE public.segment_months TO runcast_request;
GRANT SELECT,INSERT ON TABLE public.segment_months TO runcast_log;

GRANT INSERT ON TABLE public.sessions TO runcast_accounts;

GRANT SELECT(id) ON TABLE public.sessions TO runcast_request;

GRANT SELECT(user_id) ON TABLE public.sessions TO runcast_request;

GRANT SELECT(method) ON TABLE public.sessions TO runcast_request;

GRANT SELECT(client) ON TABLE public.sessions TO runcast_request;

GRANT SELECT(address) ON TABLE public.sessions TO runcast_request;

GRANT SELECT(created_at) ON TABLE public.sessions TO runcast_request;

GRANT SELECT(used_at) ON TABLE public.sessions TO runcast_request;
GRANT UPDATE(used_at) ON TABLE public.sessions TO runcast_accounts;

GRANT SELECT(expires_at) ON TABLE public.sessions TO runcast_request;
GRANT UPDATE(expires_at) ON TABLE public.sessions TO runcast_accounts;

GRANT SELECT(revoked_at) ON TABLE public.sessions TO runcast_request;
GRANT UPDATE(revoked_at) ON TABLE public.sessions TO runcast_accounts;

GRANT INSERT ON TABLE public.share_links TO runcast_accounts;

GRANT SELECT(id) ON TABLE public.share_links TO runcast_request;

GRANT SELECT(project_id) ON TABLE public.share_links TO runcast_request;

GRANT SELECT(run_id) ON TABLE public.share_links TO runcast_request;

GRANT SELECT(created_by) ON TABLE public.share_links TO runcast_request;

GRANT SELECT(created_at) ON TABLE public.share_links TO runcast_request;

GRANT SELECT(expires_at) ON TABLE public.share_links TO runcast_request;

GRANT SELECT(revoked_at) ON TABLE public.share_links TO runcast_request;
GRANT UPDATE(revoked_at) ON TABLE public.share_links TO runcast_accounts;

GRANT SELECT(last_used_at) ON TABLE public.share_links TO runcast_request;

GRANT SELECT(made_by_key) ON TABLE public.share_links TO runcast_request;
GRANT UPDATE(made_by_key) ON TABLE public.share_links TO runcast_accounts;

GRANT SELECT(is_by_admin) ON TABLE public.share_links TO runcast_request;

GRANT INSERT ON TABLE public.sign_in_links TO runcast_accounts;

GRANT INSERT ON TABLE public.stream_tickets TO runcast_accounts;

GRANT SELECT ON TABLE public.task_dependencies TO runcast_request;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.task_dependencies TO runcast_log;

GRANT SELECT ON TABLE public.task_transitions TO runcast_request;
GRANT SELECT,INSERT ON TABLE public.task_transitions TO runcast_log;

GRANT SELECT ON TABLE public.tasks TO runcast_request;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.tasks TO runcast_log;

GRANT SELECT ON TABLE public.tombstones TO runcast_request;
GRANT SELECT,INSERT ON TABLE public.tombstones TO runcast_log;

GRANT SELECT ON TABLE public.usage_daily TO runcast_request;
GRANT SELECT,INSERT,UPDATE ON TABLE public.usage_daily TO runcast_log;

GRANT SELECT,INSERT ON TABLE public.usage_requests TO runcast_log;
GRANT SELECT ON TABLE public.usage_requests TO runcast_request;

GRANT INSERT ON TABLE public.users TO runcast_accounts;

GRANT SELECT(id) ON TABLE public.users TO runcast_request;

GRANT SELECT(subject) ON TABLE public.users TO runcast_request;

GRANT SELECT(email) ON TABLE public.users TO runcast_request;

GRANT SELECT(name) ON TABLE public.users TO runcast_request;
GRANT UPDATE(name) ON TABLE public.users TO runcast_accounts;

GRANT SELECT(is_admin) ON TABLE public.users TO runcast_request;
GRANT UPDATE(is_admin) ON TABLE public.users TO runcast_accounts;

GRANT SELECT(created_at) ON TABLE public.users TO runcast_request;

GRANT SELECT(login) ON TABLE public.users TO runcast_request;

GRANT SELECT(disabled_at) ON TABLE public.users TO runcast_request;
GRANT UPDATE(disabled_at) ON TABLE public.users TO runcast_accounts;

GRANT SELECT(last_sign_in_at) ON TABLE public.users TO runcast_request;

GRANT SELECT(deleted_at) ON TABLE public.users TO runcast_request;

GRANT SELECT ON TABLE public.webhook_deliveries TO runcast_request;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.webhook_deliveries TO runcast_log;

GRANT UPDATE(state) ON TABLE public.webhook_deliveries TO runcast_accounts;

GRANT UPDATE(attempts) ON TABLE public.webhook_deliveries TO runcast_accounts;

GRANT UPDATE(next_at) ON TABLE public.webhook_deliveries TO runcast_accounts;

GRANT UPDATE(status) ON TABLE public.webhook_deliveries TO runcast_accounts;

GRANT UPDATE(error) ON TABLE public.webhook_deliveries TO runcast_accounts;

GRANT UPDATE(ended_at) ON TABLE public.webhook_deliveries TO runcast_accounts;

GRANT INSERT,DELETE ON TABLE public.webhooks TO runcast_accounts;
GRANT SELECT ON TABLE public.webhooks TO runcast_log;

GRANT SELECT(id) ON TABLE public.webhooks TO runcast_request;

GRANT SELECT(project_id) ON TABLE public.webhooks TO runcast_request;

GRANT SELECT(url) ON TABLE public.webhooks TO runcast_request;
GRANT UPDATE(url) ON TABLE public.webhooks TO runcast_accounts;

GRANT SELECT(types) ON TABLE public.webhooks TO runcast_request;
GRANT UPDATE(types) ON TABLE public.webhooks TO runcast_accounts;

GRANT SELECT(format) ON TABLE public.webhooks TO runcast_request;
GRANT UPDATE(format) ON TABLE public.webhooks TO runcast_accounts;

GRANT SELECT(secret),UPDATE(secret) ON TABLE public.webhooks TO runcast_accounts;

GRANT UPDATE(old_secret) ON TABLE public.webhooks TO runcast_accounts;

GRANT SELECT(old_secret_until) ON TABLE public.webhooks TO runcast_request;
GRANT UPDATE(old_secret_until) ON TABLE public.webhooks TO runcast_accounts;

GRANT SELECT("position") ON TABLE public.webhooks TO runcast_request;
GRANT UPDATE("position") ON TABLE public.webhooks TO runcast_accounts;
GRANT UPDATE("position") ON TABLE public.webhooks TO runcast_log;

GRANT SELECT(failing_since) ON TABLE public.webhooks TO runcast_request;
GRANT UPDATE(failing_since) ON TABLE public.webhooks TO runcast_accounts;
GRANT UPDATE(failing_since) ON TABLE public.webhooks TO runcast_log;

GRANT SELECT(disabled_reason) ON TABLE public.webhooks TO runcast_request;
GRANT UPDATE(disabled_reason) ON TABLE public.webhooks TO runcast_accounts;
GRANT UPDATE(disabled_reason) ON TABLE public.webhooks TO runcast_log;

GRANT SELECT(created_by) ON TABLE public.webhooks TO runcast_request;

GRANT SELECT(created_at) ON TABLE public.webhooks TO runcast_request;

GRANT SELECT(updated_at) ON TABLE public.webhooks TO runcast_request;
GRANT UPDATE(updated_at) ON TABLE public.webhooks TO runcast_accounts;
GRANT UPDATE(updated_at) ON TABLE public.webhooks TO runcast_log;

GRANT SELECT(not_before) ON TABLE public.webhooks TO runcast_request;
GRANT UPDATE(not_before) ON TABLE public.webhooks TO runcast_accounts;
GRANT UPDATE(not_before) ON TABLE public.webhooks TO runcast_log;

GRANT SELECT ON TABLE public.worker_status TO runcast_request;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.worker_status TO runcast_log;
