"""pg_dump and pg_restore: which ones, and running them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from runcast_server.backup.manifest import BackupError
from runcast_server.embedded import EmbeddedError, postgres

SAY_SECONDS = 5.0
Say = Callable[[str], None]


def find(name: str, server: int) -> str:
    """The program `name` of the server's major version or a later one. Raises `BackupError`.

    Looked for on the path first, then in the wheel of the embedded Postgres.
    """
    candidates = [shutil.which(name)]
    with contextlib.suppress(EmbeddedError):
        candidates.append(str(postgres.binary(name)))
    found = [each for each in candidates if each is not None and Path(each).exists()]
    for each in found:
        if _version(each) >= server:
            return each
    what = f"{name} of Postgres {server} or later is needed"
    has = f" (there is one of {_version(found[0])})" if found else ""
    raise BackupError(
        f"{what}{has}: install your system's postgresql-client, or pip install 'runcast[embedded]'"
    )


def _version(program: str) -> int:
    said = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False
    ).stdout
    number = re.search(r"\) (\d+)", said)
    return int(number[1]) if number else 0


def contents(program: str, dump: Path) -> str:
    """What pg_restore is to take of a dump: all but the schema `public`, which is in every database."""
    listed = subprocess.run(
        [program, "--list", str(dump)], capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        raise BackupError(f"the dump can't be read: {_reason(listed.stderr.splitlines())}")
    kept = [line for line in listed.stdout.splitlines() if " SCHEMA - public " not in f"{line} "]
    return "".join(f"{line}\n" for line in kept)


async def run(command: Sequence[str], url: str, say: Say, progress: Callable[[], str]) -> None:
    """Runs it on the database of the URL, and says every few seconds how far it is. Raises `BackupError`
    with what it said last.

    The password isn't among the arguments, which others on the machine see.
    """
    place, password = _without_password(url)
    process = await asyncio.create_subprocess_exec(
        *command,
        "--dbname",
        place,
        env=os.environ | ({"PGPASSWORD": password} if password else {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        async with _told(say, progress):
            _, said = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        lines = said.decode(errors="replace").strip().splitlines()
        raise BackupError(f"{Path(command[0]).name} failed: {_reason(lines)}")


def _reason(lines: Sequence[str]) -> str:
    errors = [line for line in lines if "error:" in line or "ERROR:" in line]
    return (errors or lines or ["it said nothing"])[0]


@contextlib.asynccontextmanager
async def _told(say: Say, progress: Callable[[], str]) -> AsyncIterator[None]:
    async def tell() -> None:
        while True:
            await asyncio.sleep(SAY_SECONDS)
            say(progress())

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()


def _without_password(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    account, at, place = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    shown = urlunsplit(parts._replace(netloc=f"{user}{at}{place}"))
    # urlunsplit leaves the slashes of an empty place out; libpq asks for them.
    shown = shown if parts.netloc else f"{parts.scheme}://{shown.partition(':')[2]}"
    return shown, unquote(password)
