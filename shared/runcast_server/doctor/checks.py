"""The checks of `runcast doctor --server`, by what they look at.

A check reads and changes nothing. It gets the settings of the servers, as its process has them, and yields
findings; `advice` says what to do in a sentence. What it raises becomes a finding too, so that no check keeps
another one from being made.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping

from runcast.cli.doctor_report import OK, PROBLEM, WARNING, Finding
from runcast_server import settings
from runcast_server.doctor import postgres, redis
from runcast_server.settings import ServerSettings, SettingsError

CHECK_SECONDS = 20.0

Check = Callable[[ServerSettings], AsyncIterator[Finding]]

CHECKS: Mapping[str, Check] = {"postgres": postgres.check, "redis": redis.check}


def examine() -> list[Finding]:
    """All findings, with the settings of the environment."""
    try:
        read = settings.read()
    except SettingsError as error:
        return [Finding("settings", PROBLEM, text) for text in str(error).splitlines()]
    return asyncio.run(_examine(read))


async def _examine(read: ServerSettings) -> list[Finding]:
    unknown = settings.unknown(os.environ)
    found = [Finding("settings", WARNING, f"nothing reads {name}") for name in unknown]
    if not unknown:
        found.append(Finding("settings", OK, "all of them are known"))
    for about, check in CHECKS.items():
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                async for finding in check(read):
                    found.append(finding)
        except TimeoutError:
            text = f"did not answer within {CHECK_SECONDS:g} s"
            found.append(Finding(about, PROBLEM, text))
        except Exception as error:  # the outermost guard of one check
            text = str(error).strip().partition("\n")[0] or type(error).__name__
            found.append(Finding(about, PROBLEM, text))
    return found
