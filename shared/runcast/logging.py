"""`RuncastHandler`: the standard library's logging into a run.

logging.getLogger().addHandler(RuncastHandler(project="demo"))
"""

import logging
from typing import Any, Unpack

from runcast._support.encoding import as_text
from runcast._tracking.fields import RunFields
from runcast.tracker import Calls, RunTracker

logger = logging.getLogger("runcast")

_OWN_LOGGERS = ("runcast", "httpx", "httpcore")
_OWN_THREADS = "runcast-"
_BARE = len(vars(logging.makeLogRecord({})))
"""How many members a record has that no one added to."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class RuncastHandler(logging.Handler):
    """Writes records into a run: `tracker`'s, or a run of its own, made from `fields` as
    `RunTracker` takes them, which begins with the first record and ends with `close` (the
    interpreter's end closes handlers).

    The logger's name stands as `agent_name`; what was given as `extra` is the payload.
    """

    def __init__(
        self,
        tracker: RunTracker | None = None,
        level: int = logging.NOTSET,
        **fields: Unpack[RunFields],
    ) -> None:
        super().__init__()
        # What is no level, or no tracker, must not cost the host program its start.
        try:
            self.setLevel(level)
        except Exception as error:  # a host's own level may raise anything
            logger.warning("the handler takes every level: %s", as_text(error))
        known = tracker if isinstance(tracker, Calls) else None
        if known is None and tracker is not None:
            logger.warning(
                "%s is no tracker: the handler has a run of its own", as_text(tracker)[:100]
            )
        self._owns_run = known is None
        self.tracker = known or RunTracker(**fields)
        if self._owns_run:
            self.tracker._session.settings.otherwise = ("completed", None)

    def createLock(self) -> None:
        """None: a run's calls stand in line by themselves. A lock of ours could be waited for by a thread
        that the run, in its turn, waits for."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """As any handler's, without a lock."""
        filters = self.filters or type(self).filter is not logging.Handler.filter
        kept = self.filter(record) if filters else True
        if kept:
            self.emit(kept if isinstance(kept, logging.LogRecord) else record)
        return bool(kept)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            # What the SDK itself causes is left out: each such record would cause the next.
            if record.threadName and str(record.threadName).startswith(_OWN_THREADS):
                return
            name = str(record.name or "")
            if name.partition(".")[0] in _OWN_LOGGERS:
                return
            text = record.getMessage() if self._is_plain(record) else self.format(record)
        except Exception:  # a message that doesn't fit its arguments: as logging treats it
            self.handleError(record)
            return
        extra = _extra(record)
        self.tracker._session.log(text, record.levelname, name, None, extra, record.created)

    def _is_plain(self, record: logging.LogRecord) -> bool:
        """Whether `format` would give the message alone."""
        return (
            self.formatter is None
            and not (record.exc_info or record.exc_text or record.stack_info)
            and type(self).format is logging.Handler.format
        )

    def close(self) -> None:
        """Ends the run if it is the handler's own."""
        if self._owns_run:
            self.tracker.finish()
        super().close()


def _extra(record: logging.LogRecord) -> dict[str, Any] | None:
    """What was given as `extra`."""
    members = vars(record)
    if len(members) <= _BARE or members.keys() <= _STANDARD:
        return None
    return {name: value for name, value in members.items() if name not in _STANDARD}
