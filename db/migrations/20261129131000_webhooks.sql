-- migrate:up

-- Where a project's events are sent. `position`: the number up to which its events were looked at; what was
-- found and isn't delivered yet stands in webhook_deliveries, so many at most, and the log holds the rest.
CREATE TABLE webhooks (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    url text NOT NULL,
    types text[] NOT NULL,
    format text NOT NULL,
    secret text NOT NULL,
    old_secret text,
    old_secret_until timestamptz,
    position bigint NOT NULL,
    failing_since timestamptz,
    disabled_reason text,
    created_by uuid REFERENCES users ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhooks_of_project ON webhooks (project_id);
CREATE INDEX webhooks_of_user ON webhooks (created_by) WHERE created_by IS NOT NULL;
COMMENT ON COLUMN webhooks.disabled_reason IS 'Why nothing is sent; null while it is.';
COMMENT ON COLUMN webhooks.secret IS 'Signs what is sent, so it is kept as it is; only runcast_log reads it.';
COMMENT ON COLUMN webhooks.failing_since IS 'The first failure since the last success.';

CREATE TABLE webhook_deliveries (
    id uuid PRIMARY KEY,
    webhook_id uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    event_id bigint NOT NULL,
    type text NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz DEFAULT now(),
    sending_until timestamptz,
    status integer,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    UNIQUE (webhook_id, event_id)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_listed ON webhook_deliveries (webhook_id, created_at, id);
CREATE INDEX webhook_deliveries_of_project ON webhook_deliveries (project_id);

ALTER TABLE webhooks ENABLE ROW LEVEL SECURITY;
CREATE POLICY owners ON webhooks TO runcast_request
    USING ((SELECT acting_is_admin()) OR project_id = ANY ((SELECT acting_projects('owner'))::uuid[]));
CREATE POLICY event_log ON webhooks TO runcast_log USING (true) WITH CHECK (true);
GRANT SELECT (id, project_id, url, types, format, old_secret_until, position, failing_since, disabled_reason,
              created_by, created_at, updated_at) ON webhooks TO runcast_request;
GRANT SELECT (secret), INSERT, DELETE,
      UPDATE (url, types, format, secret, old_secret, old_secret_until, position, failing_since, disabled_reason,
              updated_at) ON webhooks TO runcast_accounts;
GRANT SELECT, UPDATE (position, failing_since, disabled_reason, updated_at) ON webhooks TO runcast_log;

ALTER TABLE webhook_deliveries ENABLE ROW LEVEL SECURITY;
CREATE POLICY owners ON webhook_deliveries TO runcast_request
    USING ((SELECT acting_is_admin()) OR project_id = ANY ((SELECT acting_projects('owner'))::uuid[]));
CREATE POLICY event_log ON webhook_deliveries TO runcast_log USING (true) WITH CHECK (true);
GRANT SELECT ON webhook_deliveries TO runcast_request;
GRANT UPDATE (state, attempts, next_at, error, status, ended_at) ON webhook_deliveries TO runcast_accounts;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_deliveries TO runcast_log;

-- A deleted project sends nothing any more, and its secrets go at once.
CREATE FUNCTION forget_webhooks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    DELETE FROM webhooks WHERE project_id = NEW.id;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION forget_webhooks FROM PUBLIC;
CREATE TRIGGER forget_webhooks AFTER UPDATE OF deleted_at ON projects
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
    EXECUTE FUNCTION forget_webhooks();

-- migrate:down
DROP TRIGGER forget_webhooks ON projects;
DROP FUNCTION forget_webhooks;
DROP TABLE webhook_deliveries, webhooks;
