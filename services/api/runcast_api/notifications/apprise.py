"""Apprise: chats, mail and the hundred other services that its addresses name (the extra `runcast[apprise]`).

Its plugins connect by themselves, so each message is sent by a process of its own (`apprise_process`), which
knows nothing of this server's settings, refuses addresses that are refused here, and is killed when its
time is over. What it sends is text with a link: no buttons, and nothing that could be replaced later.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from runcast_api.notifications.messages import Message
from runcast_api.outgoing.sender import Outcome
from runcast_server.fair_turns import FairTurns

ATTEMPT_SECONDS = 20.0
TURN_SECONDS = 20.0
"""How long a message waits for its turn. Wait and attempt end before its lease does (`deciding.LEASE`)."""
AT_ONCE = 2
"""Processes at a time for targets that answer, and as many for those that fail. Each takes some 60 MB while
it runs."""
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
"""What the process sees of ours: no settings, no secrets, and no proxy, which would connect in its place."""


@dataclass(eq=False)
class Apprise:
    """Sends by Apprise. People take turns; targets that fail keep only those waiting that fail, too."""

    _turns: Mapping[bool, FairTurns] = field(
        default_factory=lambda: {False: FairTurns(AT_ONCE), True: FairTurns(AT_ONCE)}
    )

    async def send(
        self,
        user: object,
        url: str,
        message: Message,
        *,
        allows_private: bool,
        is_failing: bool = False,
    ) -> Outcome:
        """One attempt."""
        asked = {
            "url": url,
            "title": message.title,
            "text": f"{message.text}\n{message.url}",
            "allows_private": allows_private,
        }
        try:
            async with self._turns[is_failing].of(user, TURN_SECONDS):
                return await _attempt(orjson.dumps(asked))
        except TimeoutError:
            return Outcome(None, "no turn came in time")


async def _attempt(asked: bytes) -> Outcome:
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            return await _ask(asked)
    except TimeoutError:
        return Outcome(None, f"no answer within {ATTEMPT_SECONDS:.0f} s")
    except OSError as error:
        return Outcome(None, f"Apprise can't be started: {error}")


async def _ask(asked: bytes) -> Outcome:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "runcast_api.notifications.apprise_process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd="/",
        env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
    )
    try:
        said, _ = await process.communicate(asked)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    try:
        error = orjson.loads(said)["error"]
    except (ValueError, KeyError, TypeError):
        error = f"Apprise ended with exit code {process.returncode}"
    return Outcome(None, error)
