"""The streams (`docs/protocol.md`): for as long as one iterates, over reconnections.

Both go on where they were after a break. Events that can't be delivered any more are told by an
event `gap`. `with_control` also yields `connected`, `backfill` and `bye`. They raise `ApiError` for
what waiting doesn't mend, and `StreamEnded` when the server ended the stream for good.
"""

from collections.abc import Sequence

from runcast.client.calls import path
from runcast.client.subscription import Subscription


def events(
    project: str,
    *,
    logs: str | Sequence[str] | None = None,
    after: int | None = None,
    log_tail: int | None = None,
    on_lag: str | None = None,
    with_control: bool = False,
    reconnects: bool = True,
) -> Subscription:
    """A project's events, live.

    `logs`: the runs whose lines are wanted, or `"all"`. `after`: resume after this event (0: from
    the first that is kept). `log_tail`: begin with the last lines of each of those runs.
    `on_lag="skip"`: rather jump to the present, with a `gap`, than fall far behind.
    """
    wanted = logs if logs is None or isinstance(logs, str) else ",".join(logs)
    return Subscription(
        path("/projects/{}/events", project),
        {"subscribe_logs": wanted, "on_lag": on_lag},
        position=after,
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
