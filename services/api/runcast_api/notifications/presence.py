"""Which pages of a person are visible and focused: what they show isn't told besides."""

from __future__ import annotations

from uuid import UUID

from runcast_server.auth.access import as_uuid
from runcast_server.db import Connection
from runcast_server.errors import Invalid

INBOX = "inbox"
SECONDS = 30
"""Pages say it every 20 s."""
MOST = 20
"""Pages of a person that count at a time."""

_NOTE = f"""
INSERT INTO notification_presence (user_id, place, until) VALUES ($1, $2, now() + interval '{SECONDS}
    seconds')
ON CONFLICT (user_id, place) DO UPDATE SET until = excluded.until
"""
_FORGET = f"""
DELETE FROM notification_presence WHERE user_id = $1 AND (until < now() OR place IN (
    SELECT place FROM notification_presence WHERE user_id = $1 ORDER BY until DESC OFFSET {MOST}))
"""


async def note(connection: Connection, user_id: UUID, page: str) -> None:
    """Notes a page. Raises `Invalid` for one that is neither the inbox nor a run's."""
    run_id = as_uuid(page)
    if page != INBOX and run_id is None:
        raise Invalid.of("body.page", "is neither inbox nor a run's id")
    await connection.execute(_NOTE, user_id, str(run_id) if run_id else INBOX)
    await connection.execute(_FORGET, user_id)
