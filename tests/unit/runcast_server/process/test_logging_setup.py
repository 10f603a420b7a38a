"""What stands in a log line, and what never does."""

import subprocess
import sys

import pytest

from runcast_server.auth import principal
from runcast_server.process import logging_setup

PREFIXES = [
    principal.KEY_PREFIX,
    principal.SESSION_PREFIX,
    principal.SHARE_PREFIX,
    principal.TICKET_PREFIX,
    principal.INVITATION_PREFIX,
    principal.LINK_PREFIX,
    principal.ANSWER_PREFIX,
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_tokens_are_cut(prefix: str) -> None:
    token = principal.new_token(prefix)
    assert logging_setup.redacted(f"GET /x?share={token}&y") == f"GET /x?share={prefix}…&y"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bearer eyJhbGciOi.eyJzdWIiOi.c2ln_-x and more", "Bearer eyJ… and more"),
        ("redis://:secret@localhost:6379/0", "redis://:…@localhost:6379/0"),
        ("postgresql://me:s3cr%20t@host/db", "postgresql://me:…@host/db"),
        ("http://localhost:8000/ui/", "http://localhost:8000/ui/"),
        ("signed by whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "signed by whsec_…"),
        ("run rc_ and step_one", "run rc_ and step_one"),
    ],
)
def test_other_secrets_are_cut_and_nothing_else(text: str, shown: str) -> None:
    assert logging_setup.redacted(text) == shown


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_line_holds_neither_secrets_nor_commands(form: str) -> None:
    token = principal.new_token()
    program = (
        "import structlog; from runcast_server.process import logging_setup\n"
        f"logging_setup.configure('info', {form!r})\n"
        f"log = structlog.get_logger('runcast_server')\n"
        f"try: raise ValueError({token!r} + '\\x1b]0;owned\\x07\\x9b2J')\n"
        "except ValueError: log.error('it.failed', exc_info=True,"
        f" key='\\x1b]0;owned\\x07', url='redis://:hidden@x', token={token!r})\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    line = ended.stderr.decode()
    assert "it.failed" in line
    assert token not in line
    assert "hidden" not in line
    assert "\x1b]0" not in line
    assert "\\u001b" not in line
    assert "\x9b" not in line
    assert "\\u009b" not in line
