-- migrate:up

-- The tailer's messages come by a stream of their own: what workers do to theirs doesn't reach it.
INSERT INTO ingest_cursor (stream) VALUES ('runcast:ingest:tailer');

-- migrate:down

DELETE FROM ingest_cursor WHERE stream = 'runcast:ingest:tailer';
