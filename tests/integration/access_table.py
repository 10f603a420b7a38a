"""How every operation is asked by `test_access`; what its caller needs stands in `auth.operations`.

A new endpoint gets a line in both. Braces stand for things that
`test_access` makes anew for each call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Line:
    """A body that an operation takes, and the answer where it isn't a success."""

    body: Any = None
    status: int | None = None
    query: str = ""


LOGS = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "m"}}]}]}]}
HOOK = {"url": "http://127.0.0.1:1/", "types": ["question:asked"]}

TABLE: dict[str, Line] = {
    # projects
    "POST /projects": Line({"name": "new"}),
    "GET /projects": Line(),
    "GET /projects/{project}": Line(),
    "PATCH /projects/{project}": Line({"name": "other"}),
    "DELETE /projects/{project}": Line(),
    "GET /projects/{project}/storage": Line(),
    "GET /projects/{project}/export": Line(),
    # runs
    "POST /projects/{project}/runs": Line({}),
    "GET /projects/{project}/runs": Line(),
    "GET /projects/{project}/active-runs": Line(),
    "GET /runs": Line(),
    "POST /projects/{project}/runs/bulk": Line({"items": [{"op": "create"}]}),
    "GET /runs/compare": Line(status=422, query="?ids=1"),
    "POST /runs/{run}/metrics": Line({"metrics": {"loss": 1}}),
    "GET /runs/{run}/metrics": Line(),
    "GET /runs/{run}": Line(),
    "DELETE /runs/{run}": Line(),
    "POST /runs/{run}/logs/redact": Line({"from_line": 1, "to_line": 1}),
    "GET /runs/{run}/children": Line(),
    "PATCH /runs/{run}": Line({"status": "running"}),
    "POST /runs/{run}/cancel": Line(),
    "POST /runs/{run}/retry": Line(),
    "POST /runs/{run}/heartbeat": Line({}),
    "POST /runs/{run}/progress": Line({"stage": "idea", "message": "m"}),
    "POST /runs/{run}/demo": Line(query="?interval_s=0.01"),
    "GET /runs/{run}/status": Line(),
    # artifacts
    "POST /runs/{run}/artifacts": Line({"step_name": "idea", "content": "c"}),
    "GET /runs/{run}/artifacts": Line(),
    "GET /artifacts/{artifact}": Line(),
    "DELETE /artifacts/{artifact}": Line(),
    "GET /artifacts/{artifact}/content": Line(),
    # logs and events
    "POST /runs/{run}/logs": Line({"message": "m"}),
    "GET /runs/{run}/logs": Line(),
    "GET /runs/{run}/export": Line(),
    "GET /runs/{run}/logs/search": Line(query="?q=m"),
    "GET /runs/{run}/logs/{line_number}/raw": Line(),
    "POST /runs/{run}/tail": Line({"path": "logs.txt"}),
    "GET /runs/{run}/tail": Line(),
    "DELETE /runs/{run}/tail": Line(),
    "GET /projects/{project}/events/history": Line(),
    # questions
    "POST /runs/{run}/questions": Line({"kind": "text", "title": "t"}),
    "GET /questions": Line(),
    "GET /questions/{question}": Line(),
    "POST /questions/{question}/answer": Line({"text": "yes"}),
    "POST /questions/{question}/cancel": Line({}),
    # agents
    "POST /agents/{agent}/hooks": Line(
        {"session_id": "{fresh}", "hook_event_name": "SessionStart"},
        query="?project=demo",
    ),
    "POST /runs/{run}/say": Line({"text": "t"}),
    "POST /runs/{run}/messages/take": Line(),
    "POST /v1/logs": Line(LOGS, query="?project=demo"),
    "POST /v1/traces": Line({}, query="?project=demo"),
    "POST /v1/metrics": Line({}, query="?project=demo"),
    "POST /otlp/v1/logs": Line(LOGS, query="?project=demo"),
    "POST /otlp/v1/traces": Line({}, query="?project=demo"),
    "POST /otlp/v1/metrics": Line({}, query="?project=demo"),
    "GET /auth/me/away": Line(),
    "PUT /auth/me/away": Line({"away": False}),
    # notifications
    "GET /auth/me/notifications": Line(),
    "PUT /auth/me/notifications": Line({"rules": [], "targets": []}),
    "POST /auth/me/notifications/test": Line({"target": "phone"}, status=404),
    "PUT /auth/me/presence": Line({"page": "inbox"}),
    # usage
    "GET /projects/{project}/usage": Line(),
    "POST /runs/{run}/usage": Line({"requests": [{"id": "r", "model": "m"}]}),
    # webhooks
    "POST /projects/{project}/webhooks": Line(HOOK),
    "GET /projects/{project}/webhooks": Line(),
    "GET /projects/{project}/webhooks/{webhook}": Line(),
    "PATCH /projects/{project}/webhooks/{webhook}": Line({"disabled": True}),
    "DELETE /projects/{project}/webhooks/{webhook}": Line(),
    "POST /projects/{project}/webhooks/{webhook}/rotate": Line(),
    "POST /projects/{project}/webhooks/{webhook}/test": Line(),
    "GET /projects/{project}/webhooks/{webhook}/deliveries": Line(),
    "POST /deliveries/{delivery}/redeliver": Line(),
    # tasks
    "POST /projects/{project}/tasks": Line({"title": "t"}),
    "GET /projects/{project}/tasks": Line(),
    "GET /tasks/{task}": Line(),
    "PATCH /tasks/{task}": Line({"title": "t"}),
    "DELETE /tasks/{task}": Line(),
    "POST /tasks/{task}/subtasks": Line({"title": "s"}),
    "GET /tasks/{task}/transitions": Line(),
    "POST /tasks/{task}/{move}": Line(),
    "POST /projects/{project}/subtasks/claim": Line({"worker_id": "w"}),
    "POST /subtasks/claim": Line({"worker_id": "w"}),
    "GET /subtasks/{subtask}": Line(),
    "PATCH /subtasks/{subtask}": Line({"title": "s"}),
    "DELETE /subtasks/{subtask}": Line(),
    "POST /subtasks/{subtask}/lease": Line({"worker_id": "w", "lease_s": 60}, status=409),
    "POST /subtasks/{subtask}/{move}": Line(status=409),
    # the runtime
    "PUT /workers/{worker_id}/status": Line({"agent_type": "a", "status": "IDLE"}),
    "POST /runtime/events": Line([]),
    "GET /admin/runtime/status": Line(),
    "GET /admin/runtime/events": Line(),
    "GET /admin/runtime/tasks": Line(),
    "GET /admin/stream": Line(),
    # members, keys, links, tickets, invitations
    "GET /users": Line(query="?q=someone"),
    "GET /projects/{project}/members": Line(),
    "GET /projects/{project}/members/{user}": Line(),
    "PUT /projects/{project}/members/{user}": Line({"role": "viewer"}),
    "DELETE /projects/{project}/members/{user}": Line(),
    "POST /projects/{project}/keys": Line({"name": "k", "role": "viewer"}),
    "GET /projects/{project}/keys": Line(),
    "POST /keys": Line({"name": "k"}),
    "GET /keys": Line(),
    "GET /keys/{key}": Line(),
    "DELETE /keys/{key}": Line(),
    "POST /keys/{key}/rotate": Line({}),
    "POST /projects/{project}/share-links": Line({}),
    "GET /projects/{project}/share-links": Line(),
    "DELETE /share-links/{link}": Line(),
    "POST /projects/{project}/stream-tickets": Line(),
    "POST /invitations": Line({"email": "new@example.org"}),
    "GET /invitations": Line(),
    "DELETE /invitations/{invitation}": Line(),
    "POST /invitations/{invitation}/confirm": Line(),
    "GET /invitations/{token}": Line(),
    "POST /invitations/{token}/accept": Line({"password": "x" * 12}, status=422),
    # signing in
    "POST /auth/login": Line({"email": "{fresh}@example.org", "password": "p"}, status=401),
    "POST /auth/login-link": Line({"token": "unknown"}, status=401),
    "POST /auth/logout": Line(),
    "POST /auth/refresh": Line(),
    "GET /auth/me": Line(),
    "PATCH /auth/me": Line({"name": "n"}),
    "GET /auth/sessions": Line(),
    "DELETE /auth/sessions": Line(),
    "DELETE /auth/sessions/{session}": Line(status=404),
    "GET /auth/methods": Line(),
    "GET /auth/oidc/login": Line(status=404),
    "GET /auth/oidc/callback": Line(status=404),
    # administration
    "GET /admin/users": Line(),
    "POST /admin/users": Line({"email": "{fresh}@example.org", "name": "n"}),
    "GET /admin/users/{user}": Line(),
    "PATCH /admin/users/{user}": Line({"name": "n"}),
    "DELETE /admin/users/{user}": Line(),
    "POST /admin/users/{user}/sign-in-link": Line(),
    "GET /admin/segments/check": Line(),
    "GET /admin/audit": Line(),
    "GET /admin/ingest/rejects": Line(),
    # streams
    "GET /projects/{project}/events": Line(),
    "GET /events": Line(query="?projects={project}"),
    "GET /runs/{run}/stream": Line(),
    "GET /connections": Line(),
    "GET /admin/connections": Line(),
    "PATCH /connections/{connection}": Line({"subscribe_logs": "all"}, status=404),
    "DELETE /connections/{connection}": Line(status=404),
    # the process
    "GET /health": Line(),
    "GET /ready": Line(),
    "GET /metrics": Line(),
    "GET /": Line(),
    "GET /docs": Line(),
    "GET /openapi.json": Line(),
}
