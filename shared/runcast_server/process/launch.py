"""Starts what `commands` names, and says in one line why it can't."""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any

import structlog

from runcast_server import settings
from runcast_server.errors import ExplainedError
from runcast_server.process import (
    all_in_one,
    credentials,
    db_roles,
    environment,
    logging_setup,
    migrate,
    process,
    single_service,
    upkeep,
    wait_for,
)
from runcast_server.settings import ServerSettings

INTERRUPTED = 130

log = structlog.get_logger(__name__)


def launch(command: str, flags: Mapping[str, object], **options: Any) -> int:
    """Run a command with the settings of flags and environment, and with options that are no settings; its
    exit code."""
    try:
        read = settings.read(**flags)
        logging_setup.configure(read.process.log_level, read.process.log_format)
        for name in settings.unknown(os.environ):
            log.warning("setting.unknown", name=name)
        environ = {**os.environ, **settings.as_environment(flags)}
        _run(command, read, environ, dict(options))
    except ExplainedError as error:
        sys.stderr.write(f"runcast: {error}\n")
        return 1
    except (asyncio.CancelledError, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:
        if (said := environment.explained(error)) is None:
            raise
        log.debug("command.failed", command=command, exc_info=error)
        sys.stderr.write(f"runcast: {said}\n")
        return 1
    return 0


def _run(
    command: str, read: ServerSettings, environ: Mapping[str, str], options: dict[str, Any]
) -> None:
    match command:
        case "up":
            all_in_one.up(read, environ, _say)
        case "migrate":
            asyncio.run(_migrate(read))
        case "after-restore":
            asyncio.run(upkeep.after_restore(read, _say))
        case "backup":
            upkeep.back_up(read, _say, **options)
        case "restore":
            upkeep.restore(read, _say, **options)
        case _:
            single_service.run(command, read, environ, _say)


async def _migrate(read: ServerSettings) -> None:
    """Bring the schema up to date, and see that there is an administrator's key."""
    url = read.postgres.database_url
    if url is None:
        raise process.StartError("RUNCAST_DATABASE_URL must be set, or --database-url given")
    await wait_for.wait_for_postgres(url, read.process.start_wait_s, _say)
    applied = await asyncio.to_thread(migrate.up, url, _say)
    for name in applied:
        _say(f"applied {name}")
    _say(f"the schema is that of this version ({len(applied)} migrations applied)")
    if read.postgres.service_urls is not None:
        await db_roles.ensure(url, read.postgres.service_urls)
    data = read.process.data
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = credentials.read(data)
    token = await credentials.admin_token(url, known.token if known else None)
    where = read.process.public_url or f"http://127.0.0.1:{read.process.port}"
    credentials.write(data, credentials.Credentials(where, token, read.redis.redis_url or "", 0))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
