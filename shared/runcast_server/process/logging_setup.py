"""Log lines of the servers, ours and those of libraries, in one form on standard error.

Texts of others (keys of runs, messages of errors) may stand in a line, so it is made harmless: tokens and
passwords are left out of it, and what could command a terminal.
"""

import logging
import re
import sys
from collections.abc import Sequence
from typing import Any, Literal

import structlog

from runcast._support.terminal import harmless
from runcast_server.process import requests

_SECRETS = re.compile(
    r"\b(?P<token>r[acslito]_)[\w-]{20,}"
    r"|\b(?P<webhook>whsec_)[\w+/=-]{20,}"
    r"|\b(?P<jwt>eyJ)[\w-]+\.[\w-]+\.[\w-]*"
    r"|(?P<url>\b[a-z][a-z+]*://[^\s:/@]*:)[^\s/@]+(?=@)"
)


def configure(level: str, form: Literal["auto", "console", "json"]) -> None:
    """Set logging up for the process: JSON lines, or coloured ones for a terminal (`auto`)."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    shared: Sequence[structlog.types.Processor] = (
        structlog.contextvars.merge_contextvars,
        requests.noted,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )
    last = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
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
    # A trace tells what its error says, so it is made a text before texts are made harmless.
    tidy = (
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _without_commands,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[*tidy, last, _without_secrets],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("runcast", "runcast_server", "runcast_api", "runcast_hub", "runcast_tailer"):
        logging.getLogger(name).setLevel(level.upper())


def redacted(text: str) -> str:
    """A text with its tokens, and the passwords of its URLs, cut to what they begin with."""
    return _SECRETS.sub(lambda found: f"{next(filter(None, found.groups()))}…", text)


def _without_secrets(_: object, __: str, line: Any) -> str:
    return redacted(line)


def _without_commands(
    _: object, __: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    return {
        name: harmless(value, colours=False) if isinstance(value, str) else value
        for name, value in event.items()
    }
