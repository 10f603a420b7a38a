-- migrate:up

-- How far the one ingest stream is committed. The row is compared and swapped first in every ingest
-- transaction: a leader that was stopped and woke up late changes nothing.
CREATE TABLE ingest_cursor (
    stream text PRIMARY KEY,
    stream_epoch bigint NOT NULL DEFAULT 1,
    last_id text NOT NULL DEFAULT '0-0',
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO ingest_cursor (stream) VALUES ('runcast:ingest');

CREATE TABLE ingest_rejects (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    stream_id text NOT NULL,
    project_id uuid,
    reason text NOT NULL,
    message text NOT NULL
);
CREATE INDEX ingest_rejects_newest ON ingest_rejects (at);

-- First answers of requests that carried an Idempotency-Key, and ids of ingest messages
-- (principal `ingest`, route the project). Kept for 24 hours.
CREATE TABLE idempotency_keys (
    principal text NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    body_hash bytea NOT NULL,
    status integer,
    headers json,
    body bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, route, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

GRANT SELECT ON ingest_rejects TO runcast_request;
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO runcast_request, runcast_log;
GRANT SELECT, UPDATE ON ingest_cursor TO runcast_log;
GRANT SELECT, INSERT, DELETE ON ingest_rejects TO runcast_log;

-- migrate:down
DROP TABLE idempotency_keys, ingest_rejects, ingest_cursor;
