"""The operations that the API process doesn't serve itself: live streams, open connections, probes.

A test compares them with the table of who may call what, so none is missing.
"""

from __future__ import annotations

from typing import Any

_STRING: dict[str, Any] = {"type": "string"}
_LOGS = (
    "Whose log lines to send: run ids separated by commas, at most 200, or `all`. Without it no log "
    "lines are sent, and every other event is."
)


def _parameter(
    place: str, name: str, schema: dict[str, Any], text: str, *, required: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": required,
        "schema": schema,
        "description": text,
    }


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _STRING}


def _content(model: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{model}"}}}


_POSITION = {"type": "integer", "minimum": 0}
_OPENING = [
    _parameter(
        "query",
        "log_tail",
        {"type": "integer", "minimum": 0, "maximum": 10_000, "default": 0},
        "Send this many of the last lines of each subscribed run first. Ignored with a position.",
    ),
    _parameter(
        "query",
        "epoch",
        _STRING,
        "`epoch` of an earlier `connected`: if the history is no longer that one, a `gap` says so.",
    ),
    _parameter(
        "query",
        "on_lag",
        {"type": "string", "enum": ["skip", "replay"], "default": "replay"},
        "What to do when the stream is too far behind: `skip` jumps to the present with a `gap`, "
        "`replay` reads on.",
    ),
]
_STREAM = {
    "200": {
        "description": "Server-Sent Events: `connected` first, then the events in order. "
        "docs/protocol.md says what clients may rely on.",
        "content": {"text/event-stream": {"schema": _STRING}},
    }
}


def _stream(
    name: str, text: str, parameters: list[dict[str, Any]], position: dict[str, Any] = _POSITION
) -> dict[str, Any]:
    resuming = [
        _parameter(
            "header",
            "Last-Event-ID",
            position,
            "Resume after the event with this `id`; 0: from the first kept event. Browsers send it "
            "by themselves when they reconnect.",
        ),
        _parameter("query", "last_event_id", position, "The same as a parameter. The header wins."),
    ]
    return {
        "tags": ["streams"],
        "summary": name.replace("_", " ").title(),
        "operationId": name,
        "description": text,
        "parameters": [*parameters, *resuming, *_OPENING],
        "responses": _STREAM,
    }


def _operation(tag: str, name: str, text: str, responses: dict[str, Any], **more: Any) -> Any:
    return {
        "tags": [tag],
        "summary": name.replace("_", " ").title(),
        "operationId": name,
        "description": text,
        "responses": responses,
        **more,
    }


_LISTED = {"200": {"description": "The connections.", "content": _content("ConnectionPage")}}
_PAGES = [
    _parameter(
        "query",
        "limit",
        {"type": "integer", "minimum": 1, "maximum": 1000},
        "Maximum number of items on one page. Left out: all of them.",
    ),
    _parameter("query", "cursor", _STRING, "`next_cursor` of the previous page."),
]
_READY = {"content": _content("Readiness")}

PATHS: dict[str, dict[str, Any]] = {
    "/projects/{project}/events": {
        "get": _stream(
            "stream_project",
            "Opens the live stream of a project.",
            [_path("project"), _parameter("query", "subscribe_logs", _STRING, _LOGS)],
        )
    },
    "/events": {
        "get": _stream(
            "stream_projects",
            "Opens one live stream of several projects. Each project begins with a `connected` of its "
            "own, and the `id` is a position in all of them.",
            [
                _parameter(
                    "query",
                    "projects",
                    _STRING,
                    "Ids or slugs separated by commas, at most 50; or `all`: the 50 that you may read "
                    "in which something happened last.",
                    required=True,
                ),
                _parameter("query", "subscribe_logs", _STRING, _LOGS),
            ],
            position=_STRING,
        )
    },
    "/runs/{run}/stream": {
        "get": _stream(
            "stream_run",
            "Opens the live stream of one run: its log lines and its events. It ends with `bye` "
            "(`complete`) after the run's last event.",
            [_path("run"), _parameter("query", "project", _STRING, "")],
        )
    },
    "/connections": {
        "get": _operation(
            "streams",
            "list_connections",
            "Lists your open streams on all hubs, newest first; for an administrator, everyone's.",
            _LISTED,
            parameters=_PAGES,
        )
    },
    "/admin/connections": {
        "get": _operation(
            "streams",
            "list_all_connections",
            "Lists everyone's open streams.",
            _LISTED,
            parameters=_PAGES,
        )
    },
    "/connections/{connection}": {
        "patch": _operation(
            "streams",
            "change_connection",
            "Changes the log filter of an open stream, whichever hub holds it. Refused (409) for the "
            "stream of a single run.",
            {"200": {"description": "The new filter.", "content": _content("FilterChanged")}},
            parameters=[_path("connection")],
            requestBody={"required": True, "content": _content("FilterChange")},
        ),
        "delete": _operation(
            "streams",
            "end_connection",
            "Ends an open stream with `bye` (`revoked`). Its client may come back.",
            {"204": {"description": "It has ended."}},
            parameters=[_path("connection")],
        ),
    },
    "/health": {
        "get": _operation(
            "process",
            "show_health",
            "Whether the process is alive. It asks no other service.",
            {"200": {"description": "It is alive.", "content": _content("Health")}},
        )
    },
    "/ready": {
        "get": _operation(
            "process",
            "show_readiness",
            "Whether the process can serve requests, and which parts are degraded.",
            {
                "200": {"description": "It can serve requests.", **_READY},
                "503": {"description": "It can't, or is stopping.", **_READY},
            },
        )
    },
    "/metrics": {
        "get": _operation(
            "process",
            "show_metrics",
            "Metrics in the text format of Prometheus. With `METRICS_PUBLIC` no token is needed.",
            {
                "200": {
                    "description": "The metrics.",
                    "content": {"text/plain": {"schema": _STRING}},
                }
            },
        )
    },
}
