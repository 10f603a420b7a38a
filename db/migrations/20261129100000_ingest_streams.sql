-- migrate:up

-- The ingest is split into as many streams as wanted, up to 64, by run. Each has a cursor, as before.
INSERT INTO ingest_cursor (stream)
SELECT 'runcast:{ingest:' || number || '}' || whose
FROM generate_series(0, 63) AS number, unnest(ARRAY['', ':tailer']) AS whose;

-- Who applies a stream: an API process, until a time by this server's clock. It says so again long before that.
-- Cursors say what may be stored, so two that lead the same stream for a moment store nothing twice.
CREATE TABLE ingest_leases (
    stream text PRIMARY KEY REFERENCES ingest_cursor (stream),
    process uuid,
    until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
INSERT INTO ingest_leases (stream) SELECT stream FROM ingest_cursor;

-- The API processes that live: streams are shared out among them.
CREATE TABLE ingest_processes (
    process uuid PRIMARY KEY,
    until timestamptz NOT NULL
) WITH (fillfactor = 50);

GRANT SELECT, UPDATE ON ingest_leases TO runcast_log;
GRANT SELECT, INSERT, UPDATE, DELETE ON ingest_processes TO runcast_log;

-- migrate:down

DROP TABLE ingest_processes, ingest_leases;
DELETE FROM ingest_cursor WHERE stream LIKE 'runcast:{ingest:%';
