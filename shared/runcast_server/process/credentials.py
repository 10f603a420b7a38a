"""`credentials.json`: how programs on this machine find the local server and sign in to it.

The file has mode 0600 and holds the server's URL, an administrator's API key, the URL of Redis for
workers, and the process that serves. The database knows only the key's hash.
"""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runcast._support.ids import uuid7
from runcast_server import postgres_hosts
from runcast_server.auth.principal import LINK_PREFIX, hash_token, new_token

FILE = "credentials.json"
KEY_NAME = "local administrator"
ADMIN_LOGIN = "admin@localhost"
LINK_TIME = timedelta(days=1)


@dataclass(frozen=True)
class Credentials:
    """What the file says. `pid` is 0 where the servers are other machines'."""

    url: str
    token: str
    redis_url: str
    pid: int


def read(data: Path) -> Credentials | None:
    """What an earlier start wrote; None if there is nothing, or nothing that can be understood."""
    try:
        found = json.loads((data / FILE).read_bytes())
        return Credentials(
            str(found["url"]), str(found["token"]), str(found["redis_url"]), int(found["pid"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(data: Path, credentials: Credentials) -> None:
    """Replace the file at once: a reader sees the old one or the new one."""
    fresh = data / f".{FILE}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(asdict(credentials), indent=2) + "\n")
    fresh.replace(data / FILE)


async def admin_token(database_url: str, known: str | None) -> str:
    """The known key if the database still accepts it, else a new one."""
    connection = await postgres_hosts.connect(database_url, seconds=postgres_hosts.CONNECT_SECONDS)
    try:
        if known is not None and await connection.fetchval(
            """SELECT true FROM api_keys WHERE token_hash = $1 AND is_admin AND revoked_at IS NULL
               AND (expires_at IS NULL OR expires_at > now())""",
            hash_token(known),
        ):
            return known
        token = new_token()
        await connection.execute(
            "INSERT INTO api_keys (id, token_hash, name, is_admin) VALUES ($1, $2, $3, true)",
            uuid7(),
            hash_token(token),
            KEY_NAME,
        )
        return token
    finally:
        await connection.close()


async def sign_in_link(database_url: str, url: str) -> str:
    """An address that signs its first visitor in as the local administrator, within a day.

    Links of earlier starts that no one used are void from now on.
    """
    connection = await postgres_hosts.connect(database_url, seconds=postgres_hosts.CONNECT_SECONDS)
    try:
        async with connection.transaction():
            await connection.execute(
                """INSERT INTO users (id, login, email, name, is_admin)
                   VALUES ($1, $2, $2, 'Administrator', true) ON CONFLICT (login) DO NOTHING""",
                uuid7(),
                ADMIN_LOGIN,
            )
            user_id = await connection.fetchval(
                "SELECT id FROM users WHERE login = $1", ADMIN_LOGIN
            )
            await connection.execute(
                "DELETE FROM sign_in_links WHERE user_id = $1 AND used_at IS NULL", user_id
            )
            token = new_token(LINK_PREFIX)
            await connection.execute(
                "INSERT INTO sign_in_links (token_hash, user_id, expires_at) VALUES ($1, $2, $3)",
                hash_token(token),
                user_id,
                datetime.now(UTC) + LINK_TIME,
            )
    finally:
        await connection.close()
    return f"{url}/ui/sign-in#token={token}"
