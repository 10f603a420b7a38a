"""What stands in a log line, and what never does."""

import subprocess
import sys

import pytest

from runcast_server import auth, logs

PREFIXES = [
    auth.KEY_PREFIX,
    auth.SESSION_PREFIX,
    auth.SHARE_PREFIX,
    auth.TICKET_PREFIX,
    auth.INVITATION_PREFIX,
    auth.LINK_PREFIX,
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_tokens_are_cut(prefix: str) -> None:
    token = auth.new_token(prefix)
    assert logs.redacted(f"GET /x?share={token}&y") == f"GET /x?share={prefix}…&y"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bearer eyJhbGciOi.eyJzdWIiOi.c2ln_-x and more", "Bearer eyJ… and more"),
        ("redis://:secret@localhost:6379/0", "redis://:…@localhost:6379/0"),
        ("postgresql://me:s3cr%20t@host/db", "postgresql://me:…@host/db"),
        ("http://localhost:8000/ui/", "http://localhost:8000/ui/"),
        ("run rc_ and step_one", "run rc_ and step_one"),
    ],
)
def test_other_secrets_are_cut_and_nothing_else(text: str, shown: str) -> None:
    assert logs.redacted(text) == shown


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_line_holds_neither_secrets_nor_commands(form: str) -> None:
    token = auth.new_token()
    program = (
        "import structlog; from runcast_server import logs\n"
        f"logs.configure('info', {form!r})\n"
        f"log = structlog.get_logger('runcast_server')\n"
        f"try: raise ValueError({token!r})\n"
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
