"""What the shell offers behind Tab: runs, projects, statuses. It says nothing where it can't know."""

from collections.abc import Mapping
from typing import Any

from runcast import errors
from runcast._recording import run_directory
from runcast.cli import context, offline
from runcast.contract import STATUSES

OFFERED = 50


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
        (name, " ".join(part for part in (run["status"], run.get("name")) if part))
        for name, run in named
        if name.startswith(incomplete)
    ]


def projects(ctx: context.Context, incomplete: str) -> list[str]:
    """Slugs of the projects that one may see."""
    try:
        with context.connect(ctx) as client:
            slugs = [each["slug"] for each in client.list_projects(limit=200)["projects"]]
    except (errors.RuncastError, OSError):
        return []
    return [slug for slug in slugs if slug.startswith(incomplete)]


def statuses(incomplete: str) -> list[str]:
    """Statuses of runs."""
    return [status for status in sorted(STATUSES) if status.startswith(incomplete)]
