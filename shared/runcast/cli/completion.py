"""What the shell offers behind Tab: runs, projects, statuses. It says nothing where it can't know.

Shells evaluate what they are offered, zsh twice, and no quoting holds in all of them. So nothing passes that
could mean something to a shell: a run's name may come from anyone.
"""

import re
from collections.abc import Mapping
from typing import Any

from runcast import errors
from runcast._recording import run_directory
from runcast.cli import context, offline
from runcast.contract import STATUSES

OFFERED = 50
HELP_CHARACTERS = 80
_NAME = re.compile(r"[A-Za-z0-9._-]+")
"""Keys, ids and slugs."""
_UNPLAIN = re.compile(r"[^\w .,/+=@-]+")


def runs(ctx: context.Context, incomplete: str) -> list[tuple[str, str]]:
    """Keys, or ids, of the newest runs, with how each stands."""
    try:
        if context.server_of(ctx) is None:
            page: Mapping[str, Any] = offline.list_runs(
                run_directory.runs_dir(), None, None, OFFERED
            )
        else:
            with context.connect(ctx) as client:
                page = client.list_runs(
                    ctx.params.get("project") or context.named_project(), limit=OFFERED
                )
    except (errors.RuncastError, OSError):
        return []
    named = [(str(run.get("key") or run["id"]), run) for run in page["runs"]]
    return [
        (name, _plain(f"{run['status']} {run.get('name') or ''}"))
        for name, run in named
        if name.startswith(incomplete) and _NAME.fullmatch(name)
    ]


def projects(ctx: context.Context, incomplete: str) -> list[str]:
    """Slugs of the projects that one may see."""
    try:
        with context.connect(ctx) as client:
            slugs = [each["slug"] for each in client.list_projects(limit=200)["projects"]]
    except (errors.RuncastError, OSError):
        return []
    return [slug for slug in slugs if slug.startswith(incomplete) and _NAME.fullmatch(slug)]


def _plain(text: str) -> str:
    """Words that mean nothing to a shell."""
    return " ".join(_UNPLAIN.sub(" ", text).split())[:HELP_CHARACTERS]


def statuses(incomplete: str) -> list[str]:
    """Statuses of runs."""
    return [status for status in sorted(STATUSES) if status.startswith(incomplete)]
