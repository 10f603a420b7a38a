"""What runs have used (`docs/usage.md`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runcast.client.calls import Call, path

if TYPE_CHECKING:
    from runcast.client import answers


def project_usage(
    project: str, *, since: str | None = None, before: str | None = None, group: str | None = None
) -> Call[answers.UsageReport]:
    """Rows by day, run, agent or model, from the day `since` up to, but not including, `before`."""
    query = {"from": since, "to": before, "group": group}
    return Call("GET", path("/projects/{}/usage", project), query)


def add_usage(
    run: str, requests: list[dict[str, Any]], *, project: str | None = None
) -> Call[answers.Run]:
    """Adds single requests to a model, each once by its `id`: model, input_tokens, output_tokens,
    cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_usd."""
    return Call(
        "POST", path("/runs/{}/usage", run), {"project": project}, json={"requests": requests}
    )
