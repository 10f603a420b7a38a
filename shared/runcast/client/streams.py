"""The streams (`docs/protocol.md`): for as long as one iterates, over reconnections.

Both go on where they were after a break. Events that can't be delivered any more are told by an
event `gap`. `with_control` also yields `connected`, `backfill` and `bye`. They raise `ApiError` for
what waiting doesn't mend, and `StreamEnded` when the server ended the stream for good.
"""

from collections.abc import Mapping, Sequence

from runcast.client.calls import path
from runcast.client.combined import CombinedSubscription, position_of
from runcast.client.subscription import Subscription


def events(
    project: str | None = None,
    *,
    projects: Sequence[str] | str | None = None,
    logs: str | Sequence[str] | None = None,
    after: int | str | Mapping[str, int] | None = None,
    log_tail: int | None = None,
    on_lag: str | None = None,
    with_control: bool = False,
    reconnects: bool = True,
) -> Subscription:
    """A project's events, live, or those of several `projects` (up to 50, or `"all"`) on one connection.

    `logs`: the runs whose lines are wanted, or `"all"`. `after`: resume after this event (0: from
    the first that is kept); of several projects a number for each, or a position that was kept.
    `log_tail`: begin with the last lines of each of those runs. `on_lag="skip"`: rather jump to the present,
    with a `gap`, than fall far behind. Of several projects each event says its `project_id`, and a `bye` with
    a `project_id` that no more comes of that one.
    """
    wanted = logs if logs is None or isinstance(logs, str) else ",".join(logs)
    params = {"subscribe_logs": wanted, "on_lag": on_lag}
    if (project is None) == (projects is None):
        raise ValueError("name either one project or several")
    if project is not None:
        if after is not None and not isinstance(after, int):
            raise ValueError("after: a number, where there is one project")
        return Subscription(
            path("/projects/{}/events", project),
            params,
            position=after,
            log_tail=log_tail,
            with_control=with_control,
            reconnects=reconnects,
        )
    if isinstance(after, int):
        raise ValueError("after: a number for each project, where there are several")
    named = projects if isinstance(projects, str) else ",".join(projects or ())
    return CombinedSubscription(
        "/events",
        params | {"projects": named},
        reached=position_of(after),
        log_tail=log_tail,
        with_control=with_control,
        reconnects=reconnects,
    )


def stream_run(
    run: str,
    *,
    project: str | None = None,
    after: int | None = None,
    log_tail: int | None = None,
    with_control: bool = False,
    reconnects: bool = True,
) -> Subscription:
    """One run's log and events; ends when the run is over and its logs are closed."""
    return Subscription(
        path("/runs/{}/stream", run),
        {"project": project},
        position=after,
        log_tail=log_tail,
        with_control=with_control,
        reconnects=reconnects,
    )


def runtime(*, reconnects: bool = True) -> Subscription:
    """Workers, runtime events and queue counts, live, for administrators: first a snapshot. They
    carry no numbers, so each connection begins with another snapshot."""
    return Subscription("/admin/stream", {}, reconnects=reconnects)
