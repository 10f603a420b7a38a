"""What an exception says to a caller, for every service: the one place where errors of libraries become
answers. No input of a caller may end as a 500."""

from __future__ import annotations

import asyncpg

from runcast_server import outages
from runcast_server.errors import Conflict, Forbidden, Invalid, Problem, Unavailable

_SAID: tuple[tuple[type[BaseException], Problem], ...] = (
    (asyncpg.CharacterNotInRepertoireError, Invalid("a text holds NUL, which can't be stored")),
    (asyncpg.UntranslatableCharacterError, Invalid("a text holds NUL, which can't be stored")),
    (asyncpg.LockNotAvailableError, Unavailable("the database was busy for too long")),
    (asyncpg.QueryCanceledError, Unavailable("the database was busy for too long")),
    (asyncpg.DeadlockDetectedError, Unavailable("the change met another one")),
    (asyncpg.SerializationError, Unavailable("the change met another one")),
    (asyncpg.UniqueViolationError, Conflict("another change took the same name")),
    (asyncpg.ForeignKeyViolationError, Conflict("what the change names was deleted meanwhile")),
    (asyncpg.InsufficientPrivilegeError, Forbidden("the database doesn't let this caller do it")),
    (asyncpg.ProgramLimitExceededError, Invalid("a value is too large to be stored")),
    (asyncpg.StatementTooComplexError, Invalid("a value is too deep to be stored")),
    (asyncpg.DataError, Invalid("a value lies outside of what can be stored")),
    (asyncpg.CheckViolationError, Invalid("a value lies outside of what can be stored")),
    (OverflowError, Invalid("a value lies outside of what can be stored")),
    (RecursionError, Invalid("a value is nested too deep")),
)


def of(error: BaseException) -> Problem:
    """The refusal that stands for an exception; the base `Problem` (500) for one that no one expected."""
    if isinstance(error, Problem):
        return error
    for kind, refusal in _SAID:
        if isinstance(error, kind):
            return refusal
    if outages.is_outage(error):
        return Unavailable("a backing service can't be reached")
    if isinstance(error, asyncpg.InterfaceError):
        return Invalid("a value lies outside of what can be stored")
    return Problem()
