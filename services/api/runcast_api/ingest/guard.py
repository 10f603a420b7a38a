"""Whose fault is it that a message could not be applied: its own, or the storage's?

Whatever a message makes our code raise, other than a storage that is away, is that message's reject. So
nothing lists what a message may cause. What the storage may cause is listed, and all else is the message's
own fault: an error that no check foresaw costs that one message, at once, and its reason can be read.
"""

from __future__ import annotations

import asyncpg
import structlog

from runcast_server import outages

NOT_READY_STATES = frozenset({"0A", "3D", "42", "XX"})
"""Classes of SQLSTATE that say nothing against what was to be stored, beside those of outages: plans and
schemas of another version of the server, missing rights, and errors of Postgres's own."""

log = structlog.get_logger(__name__)


def is_storage_away(error: BaseException) -> bool:
    """Whether an error speaks of the storage and not of what was to be stored: then the same is tried
    again later."""
    if isinstance(error, asyncpg.PostgresError) and not outages.is_outage(error):
        return is_missing_partition(error) or (error.sqlstate or "")[:2] in NOT_READY_STATES
    return isinstance(error, MemoryError) or outages.is_outage(error)


def is_missing_partition(error: BaseException) -> bool:
    """Whether Postgres has no table yet for the day that it is: the clock jumped."""
    return isinstance(error, asyncpg.CheckViolationError) and "no partition" in str(error)


def reason(error: BaseException) -> str:
    """Why a message is refused that made our code raise this; where is logged, as no check foresaw it. A
    whole trace would take longer than the message does, and thousands may come at once."""
    log.warning("ingest.unforeseen", error=outages.named(error), where=_where(error))
    return f"it can't be stored: {type(error).__name__}: {error}"


def _where(error: BaseException) -> str:
    """The place in the code that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    code = trace.tb_frame.f_code
    return f"{code.co_qualname} ({code.co_filename.rpartition('/')[2]}:{trace.tb_lineno})"
