"""Lines and points of projects that may add none: what becomes of them on the ingest stream.

Lines of a source are discarded, not rejected: its cursor stays, and the sender, who has them in a file, goes
back to it again and again until they are taken. Entries without a source can't be sent again: one reject says
how many of a batch were left out. Feeds are taken (they hold changes of state between their lines).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from runcast_api.ingest import batch_items
from runcast_api.ingest.batch_items import Item
from runcast_api.ingest.messages import LINES
from runcast_api.storage.quotas import Admission
from runcast_server.eventlog.frames import LOG_TYPE

METRICS = "run:metrics"


def leave_out(batch: Sequence[Item], admission: Admission) -> None:
    """Ends the items that only add lines to a project that may add none."""
    if not admission.is_refusing:
        return
    numbers: Counter[UUID] = Counter()
    told: dict[UUID, tuple[Item, str]] = {}
    for item in batch:
        if not item.is_open or item.address is None or not _only_adds_lines(item):
            continue
        reason = admission.refusal(item.address.project_id)
        if reason is None:
            continue
        if item.message is not None and item.message.type == LINES:
            item.is_done = True
            continue
        numbers[item.address.project_id] += 1
        if told.setdefault(item.address.project_id, (item, reason))[0] is not item:
            item.is_done = True
    for project_id, (item, reason) in told.items():
        item.refusal = (
            f"quota-exceeded: {reason}; entries left out of this batch: {numbers[project_id]}"
        )


def _only_adds_lines(item: Item) -> bool:
    message = item.message
    if message is None:
        return False
    if message.lines is not None:
        return not batch_items.is_feed(message.lines.source)
    return message.type in (LOG_TYPE, METRICS)
