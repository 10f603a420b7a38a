-- migrate:up

ALTER TABLE webhooks ADD COLUMN not_before timestamptz;
COMMENT ON COLUMN webhooks.not_before IS
    'Until then its receiver wants to be left alone (Retry-After); null or past: it gets what is due.';
GRANT SELECT (not_before) ON webhooks TO runcast_request;
GRANT UPDATE (not_before) ON webhooks TO runcast_accounts, runcast_log;

-- migrate:down
ALTER TABLE webhooks DROP COLUMN not_before;
