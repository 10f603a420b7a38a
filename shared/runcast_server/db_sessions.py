"""How a connection becomes its role, with a pooler in between and without one.

Nothing is asked for while connecting: poolers refuse start-up parameters that they don't know, and one in
transaction mode gives each transaction whichever connection is free, so nothing that a session keeps may be
relied on. What a session needs, its role and time-outs, therefore belongs to its login (`ALTER ROLE … SET`,
done by `runcast migrate`, see `process.db_roles`), and holds on every connection that a pooler makes for it.
Where nothing stands in between, a login that has to change its role does so once per connection: so the owner
of the database can be all of the roles, as in `runcast up --database-url`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import asyncpg

from runcast_server import outages

SESSION: Final[Mapping[str, str]] = {
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
    "tcp_user_timeout": "10s",
    "timezone": "UTC",
    "jit": "off",
}
"""What holds for every statement of ours, by the names of Postgres's settings."""

_WHO = """
SELECT pg_backend_pid() AS process, current_user AS acting, session_user AS login
"""


class RoleError(asyncpg.InvalidAuthorizationSpecificationError):  # type: ignore[misc, unused-ignore]
    """A login can't act as the role that it is meant for. The message says what to do.

    It counts as an outage (503, tried again): someone mends it while the processes run.
    """


async def become(connection: Any, role: str) -> None:
    """Sees that what this connection says from now on is said by `role`, under the time-outs of `SESSION`.

    Raises `RoleError` where the login may not, or would have to by what a pooler doesn't keep.
    """
    who = await connection.fetchrow(_WHO)
    if who["process"] != connection.get_server_pid():
        if who["acting"] != role:
            raise RoleError(
                f"the login {who['login']} acts as {who['acting']} behind a pooler, not as {role}: "
                "give each role its own login with `runcast migrate` (docs/operations.md, Poolers)"
            )
        return
    settings = "".join(f"; SET {name} = '{value}'" for name, value in SESSION.items())
    try:
        await connection.execute(f"SET ROLE {role}{settings}")
    except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError) as error:
        raise RoleError(
            f"the login {who['login']} may not become {role} ({outages.line_of(error)}): "
            "run `runcast migrate` as the database's owner"
        ) from error
