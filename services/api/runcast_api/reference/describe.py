"""Completes an OpenAPI document: every operation, parameter and field described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runcast_api.reference import enums, refusals, streams, texts
from runcast_api.reference.texts import Texts
from runcast_server import deprecations
from runcast_server.auth.operations import OPERATIONS
from runcast_server.deprecations import Deprecation

TAGS = {
    "projects": "Projects, what they store, and their limits.",
    "runs": "Runs: one attempt of an agent at something.",
    "logs": "Log lines of runs.",
    "artifacts": "Outputs of a run's steps, in versions.",
    "events": "The event history of a project.",
    "streams": "Live streams of events (Server-Sent Events).",
    "questions": "What agents ask people.",
    "agents": "Messages to agents, and their hooks.",
    "usage": "Tokens and cost.",
    "telemetry": "Logs and traces over OTLP/HTTP.",
    "tasks": "Tasks on the board.",
    "subtasks": "Subtasks, and the queue from which workers claim them.",
    "tails": "Files that the server follows for a run.",
    "exports": "Runs and projects as files.",
    "deletion": "Deleting runs and artifacts, redacting lines.",
    "webhooks": "Where a project's events are sent.",
    "notifications": "What people are told where they are: on a phone, in a browser, in a chat.",
    "runtime": "What workers report of themselves, for operators.",
    "people": "Members, share links and invitations.",
    "keys": "API keys.",
    "sign-in": "Signing in and out, and your own account.",
    "admin": "Accounts, the audit log, refused messages; for administrators.",
    "process": "Health and metrics of the process.",
}
_OWN_REFUSALS = frozenset({"telemetry"})
"""Their refusals have the form that their protocol wants."""
_TIMES = frozenset({"at", "ts", "last_heartbeat"})
_WRITTEN_BY_CLIENTS = frozenset({"ProgressNew", "LogEntry", "Measured", "LinesMessage"})
"""Their times are read leniently (a space instead of `T`, no offset)."""


def complete(document: dict[str, Any]) -> None:
    """Adds the operations of other services, texts, enumerations, errors and security, in place."""
    known = texts.load()
    document["paths"] |= streams.PATHS
    document["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    components = document["components"]
    components["responses"] = refusals.responses()
    components["securitySchemes"] = refusals.SCHEMES
    for model, schema in components["schemas"].items():
        if model in known.models:
            schema.setdefault("description", known.models[model])
        _describe_fields(model, schema, known)
    for name, operation in each_operation(document):
        _describe_operation(name, operation, known)
        _mark_deprecated(name, operation)
    enums.name_all(document)


def each_operation(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The operations with their names, such as `GET /runs/{run}`."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield f"{method.upper()} {path}", operation


def _describe_fields(model: str, schema: dict[str, Any], known: Texts) -> None:
    for name, field in schema.get("properties", {}).items():
        if text := known.field(model, name):
            field.setdefault("description", text)
        if (example := known.example(model, name)) is not None:
            field["examples"] = [example]
        if (name.endswith("_at") or name in _TIMES) and model not in _WRITTEN_BY_CLIENTS:
            _mark_as_time(field)


def _mark_as_time(schema: dict[str, Any]) -> None:
    for each in [schema, *schema.get("anyOf", ())]:
        if each.get("type") == "string":
            each["format"] = "date-time"


def _describe_operation(name: str, operation: dict[str, Any], known: Texts) -> None:
    needs = OPERATIONS[name]
    said = operation.get("description", "").replace("\n", " ")
    operation["description"] = f"{said}\n\n{refusals.caller(needs)}"
    operation["security"] = refusals.security(name, needs)
    for parameter in operation.get("parameters", ()):
        text = known.parameter(name, parameter["in"], parameter["name"])
        if text and not parameter.get("description"):
            parameter["description"] = text
        parameter["schema"].pop("description", None)
    if operation["tags"][0] in _OWN_REFUSALS:
        return
    for status in refusals.statuses(name, operation, known.errors.get(name, [])):
        operation["responses"].setdefault(
            str(status), {"$ref": f"#/components/responses/Problem{status}"}
        )


def _mark_deprecated(name: str, operation: dict[str, Any]) -> None:
    """Marks an operation, or its parameters, that another one replaces."""
    if told := deprecations.DEPRECATED.get(name):
        operation |= _deprecated(operation, told)
    for place, parameter in enumerate(operation.get("parameters", ())):
        if told := deprecations.DEPRECATED.get(f"{name}?{parameter['name']}"):
            # Streams share the descriptions of theirs.
            operation["parameters"][place] = parameter | _deprecated(parameter, told)


def _deprecated(described: dict[str, Any], told: Deprecation) -> dict[str, Any]:
    text = f"{described.get('description', '')}\n\n{told.text()}".strip()
    return {"deprecated": True, "description": text}
