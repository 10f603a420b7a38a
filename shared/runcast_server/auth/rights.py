"""What each role may do, said once. Endpoints take their roles from here, `operations` says which right each
endpoint and stream needs, and `docs/people.md` and the console's `roles.ts` are compared with it.

A right is the same by every door: who may cancel a run by one endpoint may by all of them, also by a message.
"""

from __future__ import annotations

from typing import NamedTuple

from runcast_server.auth.principal import Role


class Right(NamedTuple):
    """A role, and what it adds to the one below it."""

    role: Role | None
    """None: administrators."""
    does: str


RIGHTS = (
    Right(Role.VIEWER, "reads runs, logs, artifacts, tasks, events, streams; sees the members"),
    Right(
        Role.REPORTER,
        "viewer, and writes: runs, their states (to cancel one is one of them), progress, logs, artifacts, "
        "heartbeats, questions; makes and moves tasks and subtasks",
    ),
    Right(
        Role.EDITOR,
        "reporter, and answers questions ([questions.md](questions.md)), retries runs, has files of a run's "
        "directory followed, deletes tasks, runs and artifacts, redacts lines, makes share links",
    ),
    Right(Role.OWNER, "editor, and manages members, keys, invitations, the project itself"),
    Right(None, "everything everywhere, people and runtime included"),
)

READ = Role.VIEWER
REPORT = Role.REPORTER
CANCEL = Role.REPORTER
PLAN = Role.REPORTER
"""Make and move tasks and subtasks."""
ASK = Role.REPORTER
RETRY = Role.EDITOR
ANSWER = Role.EDITOR
DEMO = Role.EDITOR
SAY = Role.EDITOR
"""Send a message to an agent."""
TAIL = Role.EDITOR
ERASE = Role.EDITOR
SHARE = Role.EDITOR
MANAGE = Role.OWNER
CONSOLE = {
    "report": REPORT,
    "cancel": CANCEL,
    "plan": PLAN,
    "retry": RETRY,
    "answer": ANSWER,
    "demo": DEMO,
    "erase": ERASE,
    "share": SHARE,
    "manage": MANAGE,
}
"""The rights by which the console shows or hides what changes something, as `roles.ts` names them."""


def as_table() -> str:
    """The roles as the documentation shows them, in Markdown."""
    rows = [
        f"| {right.role.name.lower() if right.role else 'administrator'} | {right.does} |"
        for right in RIGHTS
    ]
    return "\n".join(["| role | in its project |", "|---|---|", *rows])
