-- migrate:up

-- Who may have read a target's messages holds their links: these end when it is removed or gets another address.
CREATE FUNCTION forget_answer_links() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    DELETE FROM answer_links WHERE user_id = OLD.user_id AND used_at IS NULL;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION forget_answer_links FROM PUBLIC;
CREATE TRIGGER forget_links_of_removed AFTER DELETE ON notification_targets
    FOR EACH ROW EXECUTE FUNCTION forget_answer_links();
CREATE TRIGGER forget_links_of_changed AFTER UPDATE OF secret ON notification_targets
    FOR EACH ROW WHEN (OLD.secret::text <> NEW.secret::text) EXECUTE FUNCTION forget_answer_links();

-- How many wait for a target is counted for each event.
CREATE INDEX notifications_kept ON notifications (user_id, target_id) WHERE state IN ('waiting', 'summed');

-- migrate:down
DROP INDEX notifications_kept;
DROP TRIGGER forget_links_of_changed ON notification_targets;
DROP TRIGGER forget_links_of_removed ON notification_targets;
DROP FUNCTION forget_answer_links;
