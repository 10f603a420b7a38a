"""Who may call what: every endpoint and stream, and what it needs.

A new endpoint gets a line here; `test_access` fails until it has one. Braces stand for things that
`test_access` makes anew for each call.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Needs(Enum):
    """What a caller must be."""

    NOTHING = "nothing"
    A_TOKEN = "a token"
    A_PERSON = "a person's token"
    VIEWER = "viewer, or a share link"
    MEMBER = "viewer"
    REPORTER = "reporter"
    EDITOR = "editor"
    OWNER = "owner"
    EDITOR_KNOWS = "editor; it isn't there for others"
    OWNER_KNOWS = "owner; it isn't there for others"
    MEMBER_KNOWS = "viewer; it isn't there for others, nor for a share link"
    EDITOR_OF_QUESTIONS = "editor; it isn't there for others than members"
    WORKER = "a key with the scope worker, or an administrator"
    ADMIN = "administrator"


@dataclass(frozen=True)
class Line:
    """What an endpoint needs, a body that it takes, and the answer where it isn't a success."""

    needs: Needs
    body: Any = None
    status: int | None = None
    query: str = ""


N = Needs
TABLE: dict[str, Line] = {
    # projects
    "POST /projects": Line(N.A_PERSON, {"name": "new"}),
    "GET /projects": Line(N.A_TOKEN),
    "GET /projects/{project}": Line(N.VIEWER),
    "PATCH /projects/{project}": Line(N.OWNER, {"name": "other"}),
    "DELETE /projects/{project}": Line(N.OWNER),
    "GET /projects/{project}/storage": Line(N.VIEWER),
    "GET /projects/{project}/export": Line(N.VIEWER),
    # runs
    "POST /projects/{project}/runs": Line(N.REPORTER, {}),
    "GET /projects/{project}/runs": Line(N.VIEWER),
    "GET /projects/{project}/active-runs": Line(N.VIEWER),
    "GET /runs": Line(N.A_TOKEN),
    "GET /runs/{run}": Line(N.VIEWER),
    "DELETE /runs/{run}": Line(N.EDITOR),
    "POST /runs/{run}/logs/redact": Line(N.EDITOR, {"from_line": 1, "to_line": 1}),
    "GET /runs/{run}/children": Line(N.VIEWER),
    "PATCH /runs/{run}": Line(N.REPORTER, {"status": "running"}),
    "POST /runs/{run}/cancel": Line(N.REPORTER),
    "POST /runs/{run}/retry": Line(N.EDITOR),
    "POST /runs/{run}/heartbeat": Line(N.REPORTER, {}),
    "POST /runs/{run}/progress": Line(N.REPORTER, {"stage": "idea", "message": "m"}),
    "POST /runs/{run}/demo": Line(N.EDITOR, query="?interval_s=0.01"),
    "GET /runs/{run}/status": Line(N.VIEWER),
    # artifacts
    "POST /runs/{run}/artifacts": Line(N.REPORTER, {"step_name": "idea", "content": "c"}),
    "GET /runs/{run}/artifacts": Line(N.VIEWER),
    "GET /artifacts/{artifact}": Line(N.VIEWER),
    "DELETE /artifacts/{artifact}": Line(N.EDITOR),
    "GET /artifacts/{artifact}/content": Line(N.VIEWER),
    # logs and events
    "POST /runs/{run}/logs": Line(N.REPORTER, {"message": "m"}),
    "GET /runs/{run}/logs": Line(N.VIEWER),
    "GET /runs/{run}/export": Line(N.VIEWER),
    "GET /runs/{run}/logs/search": Line(N.VIEWER, query="?q=m"),
    "GET /runs/{run}/logs/{line_number}/raw": Line(N.VIEWER),
    "POST /runs/{run}/tail": Line(N.EDITOR, {"path": "logs.txt"}),
    "GET /runs/{run}/tail": Line(N.VIEWER),
    "DELETE /runs/{run}/tail": Line(N.EDITOR),
    "GET /projects/{project}/events/history": Line(N.VIEWER),
    # questions
    "POST /runs/{run}/questions": Line(N.REPORTER, {"kind": "text", "title": "t"}),
    "GET /questions": Line(N.A_TOKEN),
    "GET /questions/{question}": Line(N.MEMBER_KNOWS),
    "POST /questions/{question}/answer": Line(N.EDITOR_OF_QUESTIONS, {"text": "yes"}),
    "POST /questions/{question}/cancel": Line(N.EDITOR_OF_QUESTIONS, {}),
    # agents
    "POST /agents/{agent}/hooks": Line(
        N.REPORTER,
        {"session_id": "{fresh}", "hook_event_name": "SessionStart"},
        query="?project=demo",
    ),
    "POST /runs/{run}/say": Line(N.EDITOR, {"text": "t"}),
    "POST /runs/{run}/messages/take": Line(N.REPORTER),
    "GET /auth/me/away": Line(N.A_PERSON),
    "PUT /auth/me/away": Line(N.A_PERSON, {"away": False}),
    # usage
    "GET /projects/{project}/usage": Line(N.VIEWER),
    "POST /runs/{run}/usage": Line(N.REPORTER, {"requests": [{"id": "r", "model": "m"}]}),
    # tasks
    "POST /projects/{project}/tasks": Line(N.REPORTER, {"title": "t"}),
    "GET /projects/{project}/tasks": Line(N.VIEWER),
    "GET /tasks/{task}": Line(N.VIEWER),
    "PATCH /tasks/{task}": Line(N.REPORTER, {"title": "t"}),
    "DELETE /tasks/{task}": Line(N.EDITOR),
    "POST /tasks/{task}/subtasks": Line(N.REPORTER, {"title": "s"}),
    "GET /tasks/{task}/transitions": Line(N.VIEWER),
    "POST /tasks/{task}/{move}": Line(N.REPORTER),
    "POST /projects/{project}/subtasks/claim": Line(N.REPORTER, {"worker_id": "w"}),
    "POST /subtasks/claim": Line(N.A_TOKEN, {"worker_id": "w"}),
    "GET /subtasks/{subtask}": Line(N.VIEWER),
    "PATCH /subtasks/{subtask}": Line(N.REPORTER, {"title": "s"}),
    "DELETE /subtasks/{subtask}": Line(N.EDITOR),
    "POST /subtasks/{subtask}/lease": Line(
        N.REPORTER, {"worker_id": "w", "lease_s": 60}, status=409
    ),
    "POST /subtasks/{subtask}/{move}": Line(N.REPORTER, status=409),
    # the runtime
    "PUT /workers/{worker_id}/status": Line(N.WORKER, {"agent_type": "a", "status": "IDLE"}),
    "POST /runtime/events": Line(N.WORKER, []),
    "GET /admin/runtime/status": Line(N.ADMIN),
    "GET /admin/runtime/events": Line(N.ADMIN),
    "GET /admin/runtime/tasks": Line(N.ADMIN),
    "GET /admin/stream": Line(N.ADMIN),
    # members, keys, links, tickets, invitations
    "GET /projects/{project}/members": Line(N.MEMBER),
    "GET /projects/{project}/members/{user}": Line(N.MEMBER),
    "PUT /projects/{project}/members/{user}": Line(N.OWNER, {"role": "viewer"}),
    "DELETE /projects/{project}/members/{user}": Line(N.OWNER),
    "POST /projects/{project}/keys": Line(N.OWNER, {"name": "k", "role": "viewer"}),
    "GET /projects/{project}/keys": Line(N.OWNER),
    "POST /keys": Line(N.ADMIN, {"name": "k"}),
    "GET /keys": Line(N.ADMIN),
    "DELETE /keys/{key}": Line(N.OWNER_KNOWS),
    "POST /keys/{key}/rotate": Line(N.OWNER_KNOWS, {}),
    "POST /projects/{project}/share-links": Line(N.EDITOR, {}),
    "GET /projects/{project}/share-links": Line(N.EDITOR),
    "DELETE /share-links/{link}": Line(N.EDITOR_KNOWS),
    "POST /projects/{project}/stream-tickets": Line(N.MEMBER),
    "POST /invitations": Line(N.ADMIN, {"email": "new@example.org"}),
    "GET /invitations": Line(N.ADMIN),
    "DELETE /invitations/{invitation}": Line(N.OWNER_KNOWS),
    "POST /invitations/{invitation}/confirm": Line(N.ADMIN),
    "GET /invitations/{token}": Line(N.NOTHING),
    "POST /invitations/{token}/accept": Line(N.NOTHING, {"password": "x" * 12}, status=422),
    # signing in
    "POST /auth/login": Line(
        N.NOTHING, {"email": "{fresh}@example.org", "password": "p"}, status=401
    ),
    "POST /auth/login-link": Line(N.NOTHING, {"token": "unknown"}, status=401),
    "POST /auth/logout": Line(N.A_TOKEN),
    "POST /auth/refresh": Line(N.A_PERSON),
    "GET /auth/me": Line(N.A_TOKEN),
    "PATCH /auth/me": Line(N.A_PERSON, {"name": "n"}),
    "GET /auth/sessions": Line(N.A_PERSON),
    "DELETE /auth/sessions": Line(N.A_PERSON),
    "DELETE /auth/sessions/{session}": Line(N.A_PERSON, status=404),
    "GET /auth/methods": Line(N.NOTHING),
    "GET /auth/oidc/login": Line(N.NOTHING, status=404),
    "GET /auth/oidc/callback": Line(N.NOTHING, status=404),
    # administration
    "GET /admin/users": Line(N.ADMIN),
    "POST /admin/users": Line(N.ADMIN, {"email": "{fresh}@example.org", "name": "n"}),
    "PATCH /admin/users/{user}": Line(N.ADMIN, {"name": "n"}),
    "DELETE /admin/users/{user}": Line(N.ADMIN),
    "POST /admin/users/{user}/sign-in-link": Line(N.ADMIN),
    "GET /admin/segments/check": Line(N.ADMIN),
    "GET /admin/audit": Line(N.ADMIN),
    "GET /admin/ingest/rejects": Line(N.ADMIN),
    # streams
    "GET /projects/{project}/events": Line(N.VIEWER),
    "GET /runs/{run}/stream": Line(N.VIEWER),
    "GET /connections": Line(N.A_TOKEN),
    "GET /admin/connections": Line(N.ADMIN),
    "PATCH /connections/{connection}": Line(N.A_TOKEN, {"subscribe_logs": "all"}, status=404),
    "DELETE /connections/{connection}": Line(N.A_TOKEN, status=404),
    # the process
    "GET /health": Line(N.NOTHING),
    "GET /ready": Line(N.NOTHING),
    "GET /metrics": Line(N.ADMIN),
    "GET /": Line(N.NOTHING),
    "GET /docs": Line(N.NOTHING),
    "GET /openapi.json": Line(N.NOTHING),
}
