"""Which run is meant: by id, key, `#12`, `@last`, or any beginning or end that only one has."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from runcast import errors
from runcast._support.acceptable import as_uuid
from runcast._support.terminal import harmless
from runcast.cli import output
from runcast.cli.context import named_project, project_or_default
from runcast.contract import is_key

if TYPE_CHECKING:
    from runcast.client.clients import Client

Json = Mapping[str, Any]

LAST = "@last"
"""Stands for the newest run; `--last` on the command line is this."""
LOOKED_AT = 50
LEAST_END = 4
"""An id may be named by its end, which tells runs of one day apart; by this many characters at least."""
_NUMBER = re.compile(r"#?[0-9]{1,10}")


def find_run(client: "Client", name: str, project: str | None) -> Json:
    """The run, as the server shows it. Raises `NotFound`, and `Conflict` where several are meant.

    A key is looked for in the project that is named, else in `RUNCAST_PROJECT` or `default`; where it
    isn't there, in all others that one may see.
    """
    name = name.lstrip("…")  # as lists show ids
    if name == LAST:
        return _newest(client, project)
    if as_uuid(name):
        return client.get_run(name)
    if _NUMBER.fullmatch(name):
        try:
            return client.get_run(name.lstrip("#"), project=project_or_default(project))
        except errors.NotFound:
            if name.startswith("#"):
                raise
    if is_key(name):
        try:
            return client.get_run(name, project=project_or_default(project))
        except errors.NotFound:
            pass
    return _searched(client, name, project)


def _newest(client: "Client", project: str | None) -> Json:
    page = client.list_runs(project or named_project(), limit=1)
    if not page["runs"]:
        raise errors.NotFound(404, "Not found", "there are no runs yet")
    return client.get_run(page["runs"][0]["id"])


def _searched(client: "Client", name: str, project: str | None) -> Json:
    where = project or named_project()
    found = client.list_runs(where, q=name, limit=LOOKED_AT)["runs"]
    run = the_one(name, found)
    if run is None:
        shown = harmless(name, colours=False)
        place = f"project {where}" if where else "any project"
        raise errors.NotFound(
            404, "Not found", f"no run {shown!r} in {place} (`runcast runs ls` lists them)"
        )
    if project is None:
        output.say(f"runcast: {run['key'] or run['id']} of project {_slug(client, run)}")
    return client.get_run(run["id"])


def the_one(name: str, runs: Iterable[Json]) -> Json | None:
    """The only run that a name can mean, None if there is none. Raises `Conflict` for several."""
    known = list(runs)
    exact = [run for run in known if name in (run.get("key"), run["id"])]
    meant = exact or [run for run in known if _fits(name, run)]
    if len(meant) > 1:
        names = ", ".join(f"{run.get('key') or run['id']} ({run['id'][-8:]})" for run in meant[:5])
        more = f" and {len(meant) - 5} more" if len(meant) > 5 else ""
        raise errors.Conflict(
            409, "Ambiguous", f"{harmless(name, colours=False)!r} may be {names}{more}"
        )
    return meant[0] if meant else None


def _fits(name: str, run: Json) -> bool:
    key, id = run.get("key") or "", run["id"]
    ends = len(name) >= LEAST_END and id.endswith(name.lower())
    return bool(key.startswith(name) or id.startswith(name.lower()) or ends)


def _slug(client: "Client", run: Json) -> str:
    return str(client.get_project(run["project_id"])["slug"])
