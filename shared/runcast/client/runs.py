"""Projects, runs, artifacts and logs (`docs/api.md`).

`run` is an id, or a key with its `project`. Lists answer one page: `{"runs": [...], "total": n,
"next_cursor": ...}`; the clients' `iter_…` methods walk all pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runcast._support import encoding
from runcast.client.calls import Call, Json, Upload, given, path, read_bytes, read_ndjson, read_text

if TYPE_CHECKING:
    from runcast.client import answers

Entry = Json


def create_project(
    name: str, *, slug: str | None = None, id: str | None = None
) -> Call[answers.Project]:
    """Creates a project that the caller owns; with a known `id` answers what is there."""
    return Call("POST", "/projects", json=given(name=name, slug=slug, id=id))


def list_projects(
    *, limit: int | None = None, cursor: str | None = None
) -> Call[answers.ProjectPage]:
    return Call("GET", "/projects", {"limit": limit, "cursor": cursor})


def get_project(project: str) -> Call[answers.Project]:
    return Call("GET", path("/projects/{}", project))


def update_project(project: str, **fields: Any) -> Call[answers.Project]:
    return Call("PATCH", path("/projects/{}", project), json=fields)


def project_storage(project: str) -> Call[answers.Storage]:
    """What the project takes: bytes, lines, events, artifacts_bytes, oldest_at, and its limits."""
    return Call("GET", path("/projects/{}/storage", project))


def delete_project(project: str) -> Call[None]:
    return Call("DELETE", path("/projects/{}", project))


def create_run(project: str, **fields: Any) -> Call[answers.Run]:
    """Takes id, key, name, phase, current_step, steps, status, agent_type, agent_name, task_id,
    input, metadata, labels, parent_run_id, parent_key, attention, usage, aliases; with a known `id`
    answers the run that is there."""
    return Call("POST", path("/projects/{}/runs", project), json=fields)


def list_runs(
    project: str | None = None,
    *,
    status: str | None = None,
    key: str | None = None,
    q: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
    **filters: Any,
) -> Call[answers.RunPage]:
    """Runs of a project, or of all that the caller may see, newest first; with `q` those that have each
    of its words in id, key, name, agent or step, in any case. `filters`: label, agent, attention, parent,
    created_after, created_before, sort, fields (`docs/api.md`)."""
    where = "/runs" if project is None else path("/projects/{}/runs", project)
    query = {"status": status, "key": key, "q": q, "limit": limit, "cursor": cursor} | filters
    return Call("GET", where, query)


def list_children(
    run: str, *, project: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Call[answers.RunPage]:
    """The runs that this one started, oldest first."""
    query = {"project": project, "limit": limit, "cursor": cursor}
    return Call("GET", path("/runs/{}/children", run), query)


def active_runs(project: str) -> Call[answers.ActiveRuns]:
    return Call("GET", path("/projects/{}/active-runs", project))


def get_run(run: str, *, project: str | None = None) -> Call[answers.RunWithArtifacts]:
    """The run, with the latest artifact of each step."""
    return Call("GET", path("/runs/{}", run), {"project": project})


def update_run(run: str, *, project: str | None = None, **fields: Any) -> Call[answers.Run]:
    """Takes status, current_step, error, will_retry, result, pr_url, metadata, name, labels,
    parent_run_id, parent_key, attention, usage, aliases."""
    return Call("PATCH", path("/runs/{}", run), {"project": project}, json=fields)


def delete_run(
    run: str, *, project: str | None = None, dry_run: bool = False
) -> Call[answers.RunDeleted]:
    """Deletes the run with its log and artifacts; with `dry_run` says what would go."""
    return Call("DELETE", path("/runs/{}", run), {"project": project, "dry_run": dry_run or None})


def delete_artifact(artifact: str) -> Call[None]:
    """Deletes one version of a step's output."""
    return Call("DELETE", path("/artifacts/{}", artifact))


def redact_logs(
    run: str,
    from_line: int,
    to_line: int,
    *,
    replacement: str | None = None,
    project: str | None = None,
) -> Call[answers.Redacted]:
    """Overwrites stored lines for good, at most 10,000 at once."""
    body = given(from_line=from_line, to_line=to_line, replacement=replacement)
    return Call("POST", path("/runs/{}/logs/redact", run), {"project": project}, json=body)


def cancel_run(run: str, *, project: str | None = None) -> Call[answers.Run]:
    return Call("POST", path("/runs/{}/cancel", run), {"project": project})


def retry_run(run: str, *, project: str | None = None, **changes: Any) -> Call[answers.Run]:
    """A new run, attempt + 1, linked to this one. `changes`: input, key, name, agent_name, metadata, labels,
    budget; what isn't given is taken over."""
    where = path("/runs/{}/retry", run)
    return Call("POST", where, {"project": project}, json=changes or None)


def change_runs(project: str, items: Sequence[Json]) -> Call[answers.BulkDone]:
    """Up to 1,000 changes of runs, with a short answer for each (the run's `id`, `number`, `key`, `status`
    and `updated_at`): `{"op": "create", "body": {…}}`, `{"op": "patch", "run": …, "body": {…}}`,
    `{"op": "cancel", "run": …}`, `{"op": "delete", "run": …}`."""
    return Call("POST", path("/projects/{}/runs/bulk", project), json={"items": list(items)})


def compare_runs(runs: Sequence[str], *, project: str | None = None) -> Call[answers.Comparison]:
    """The runs side by side, and the members that differ."""
    return Call("GET", "/runs/compare", {"ids": ",".join(runs), "project": project})


def add_metrics(
    run: str,
    metrics: Mapping[str, float],
    *,
    step: int | None = None,
    ts: str | None = None,
    project: str | None = None,
) -> Call[answers.Metrics]:
    """Numbers that were measured together; answers the last value of each."""
    body = given(metrics=metrics, step=step, ts=ts)
    return Call("POST", path("/runs/{}/metrics", run), {"project": project}, json=body)


def list_metrics(
    run: str,
    *,
    names: Sequence[str] | None = None,
    points: int | None = None,
    project: str | None = None,
) -> Call[answers.SeriesList]:
    """The series of these metrics (at most 20), or of the first 20 by name with the names of the others in
    `more`; each as `points` points at most."""
    query = {"name": ",".join(names) if names else None, "points": points, "project": project}
    return Call("GET", path("/runs/{}/metrics", run), query)


def report_progress(
    run: str, stage: str, message: str, *, project: str | None = None, **numbers: Any
) -> Call[answers.ProgressShown]:
    """`numbers`: percent, step, total_steps; and ts."""
    body = {"stage": stage, "message": message, **numbers}
    return Call("POST", path("/runs/{}/progress", run), {"project": project}, json=body)


def heartbeat(
    run: str, *, project: str | None = None, expect_next_in_s: float | None = None
) -> Call[answers.Reported]:
    """Answers `{status, cancelled}`."""
    body = given(expect_next_in_s=expect_next_in_s)
    where = path("/runs/{}/heartbeat", run)
    return Call("POST", where, {"project": project}, json=body, is_repeatable=True)


def export_run(run: str, *, project: str | None = None, format: str = "ndjson") -> Call[None]:
    """The run with its log, events and artifacts: `ndjson`, `parquet` or `zip`."""
    where = path("/runs/{}/export", run)
    return Call("GET", where, {"project": project, "format": format})


def export_project(project: str, *, format: str = "ndjson") -> Call[None]:
    """The project's runs with all events, lines and artifacts."""
    return Call("GET", path("/projects/{}/export", project), {"format": format})


def run_status(
    run: str, *, project: str | None = None, last: int | None = None
) -> Call[answers.RunStatusReport]:
    """The run's status with its last progress events."""
    return Call("GET", path("/runs/{}/status", run), {"project": project, "last": last})


def create_artifact(
    run: str,
    step_name: str,
    content: Any,
    *,
    project: str | None = None,
    id: str | None = None,
) -> Call[answers.Artifact]:
    """Keeps JSON content as the next version of the run's step."""
    body = {**given(id=id), "step_name": step_name, "content": content}
    return Call("POST", path("/runs/{}/artifacts", run), {"project": project}, json=body)


def upload_artifact(
    run: str,
    step_name: str,
    file: Path,
    *,
    project: str | None = None,
    id: str | None = None,
    media_type: str = "application/octet-stream",
) -> Call[answers.Artifact]:
    """Keeps a file as the next version of the run's step."""
    return Call(
        "POST",
        path("/runs/{}/artifacts", run),
        {"project": project},
        form={**given(id=id), "step_name": step_name},
        upload=Upload(file, media_type),
    )


def list_artifacts(
    run: str,
    *,
    project: str | None = None,
    step_name: str | None = None,
    versions: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[answers.ArtifactList]:
    """The latest of each step; with `versions="all"` every one."""
    params = {"step_name": step_name, "versions": versions, "limit": limit, "cursor": cursor}
    return Call("GET", path("/runs/{}/artifacts", run), {"project": project, **params})


def get_artifact(artifact: str) -> Call[answers.Artifact]:
    return Call("GET", path("/artifacts/{}", artifact))


def artifact_content(artifact: str) -> Call[bytes]:
    return Call("GET", path("/artifacts/{}/content", artifact), read=read_bytes)


def add_log(run: str, *, project: str | None = None, **entry: Any) -> Call[Json]:
    """One entry: agent_name, event_type, payload, message, level, ts."""
    return Call("POST", path("/runs/{}/logs", run), {"project": project}, json=entry)


def add_logs(run: str, logs: Sequence[Entry], *, project: str | None = None) -> Call[Json]:
    """Many entries at once, as NDJSON."""
    return Call(
        "POST",
        path("/runs/{}/logs", run),
        {"project": project},
        content=b"".join(encoding.encode(each) + b"\n" for each in logs),
        headers={"Content-Type": "application/x-ndjson"},
    )


def add_lines(run: str, message: Json, *, project: str | None = None) -> Call[Json]:
    """A `lines` message; answers the committed cursor
    `{source, generation, next_line, next_offset}`."""
    where = path("/runs/{}/logs", run)
    return Call("POST", where, {"project": project}, json=message, is_repeatable=True)


def list_logs(
    run: str,
    *,
    project: str | None = None,
    after_line: int | None = None,
    before_line: int | None = None,
    tail: int | None = None,
    q: str | None = None,
    regex: bool | None = None,
    level: str | None = None,
    agent_name: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[answers.LogPage]:
    """Log entries, oldest first."""
    params = {
        "project": project,
        "after_line": after_line,
        "before_line": before_line,
        "tail": tail,
        "q": q,
        "regex": regex,
        "level": level,
        "agent_name": agent_name,
        "limit": limit,
        "cursor": cursor,
    }
    return Call("GET", path("/runs/{}/logs", run), params)


def log_text(run: str, *, project: str | None = None) -> Call[str]:
    """The whole log, each line as it was written."""
    where = path("/runs/{}/logs", run)
    return Call(
        "GET", where, {"project": project}, headers={"Accept": "text/plain"}, read=read_text
    )


def search_logs(
    run: str,
    q: str,
    *,
    project: str | None = None,
    regex: bool | None = None,
    level: str | None = None,
    from_line: int | None = None,
) -> Call[list[Json]]:
    """Entries that match, and how far the search has come (`{searched_to_line, matches}`)."""
    params = {"q": q, "regex": regex, "level": level, "from_line": from_line, "project": project}
    return Call("GET", path("/runs/{}/logs/search", run), params, read=read_ndjson)


def raw_line(run: str, line_number: int, *, project: str | None = None) -> Call[bytes]:
    """A whole line that was cut, where its file is still there."""
    where = path("/runs/{}/logs/{}/raw", run, str(line_number))
    return Call("GET", where, {"project": project}, read=read_bytes)


def start_tail(
    run: str,
    file: str,
    *,
    project: str | None = None,
    source: str | None = None,
    zone: str | None = None,
) -> Call[answers.Tail]:
    """Has the tailer follow a file for this run; repeating it changes nothing. `zone`: the time zone of
    times without an offset in the file (`Europe/Berlin`)."""
    body = given(path=file, source=source, zone=zone)
    return Call("POST", path("/runs/{}/tail", run), {"project": project}, json=body)


def stop_tail(run: str, *, project: str | None = None, source: str | None = None) -> Call[None]:
    return Call("DELETE", path("/runs/{}/tail", run), {"project": project, "source": source})


def list_tails(run: str, *, project: str | None = None) -> Call[answers.TailList]:
    return Call("GET", path("/runs/{}/tail", run), {"project": project})


def start_demo(
    run: str, *, project: str | None = None, interval_s: float | None = None
) -> Call[answers.DemoStarted]:
    """Twelve log events and three artifacts, as a demonstration."""
    params = {"project": project, "interval_s": interval_s}
    return Call("POST", path("/runs/{}/demo", run), params)


def event_history(
    project: str,
    *,
    after: int | None = None,
    before: int | None = None,
    types: Sequence[str] | None = None,
    run_id: str | None = None,
    limit: int | None = None,
) -> Call[answers.EventPage]:
    """A project's events as JSON, oldest first, paged by the numbers that the stream carries;
    with `before` alone the last ones below it."""
    params = {"after": after, "before": before, "types": types, "run_id": run_id, "limit": limit}
    return Call("GET", path("/projects/{}/events/history", project), params)
