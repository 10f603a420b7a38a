"""Log lines of the servers, ours and those of libraries, in one form on standard error."""

import logging
import sys
from collections.abc import Sequence
from typing import Literal

import structlog


def configure(level: str, form: Literal["auto", "console", "json"]) -> None:
    """Set logging up for the process: JSON lines, or coloured ones for a terminal (`auto`)."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    shared: Sequence[structlog.types.Processor] = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )
    last: Sequence[structlog.types.Processor] = (
        (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
        if as_json
        else (structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("runcast", "runcast_server", "runcast_api", "runcast_hub", "runcast_tailer"):
        logging.getLogger(name).setLevel(level.upper())
