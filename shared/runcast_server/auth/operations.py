"""Who may call what: every operation of the API and the hub, streams included, and what its caller needs.

This is the one table. `tests/integration/test_access` asks every operation by every kind of caller, compares
the answers with it, and fails for an operation that has no line; `docs/people.md` shows it.
"""

from __future__ import annotations

from dataclasses import dataclass

from runcast_server.auth import rights
from runcast_server.auth.principal import Role


@dataclass(frozen=True)
class Needs:
    """What the caller of an operation needs: a role in its project, or what `other` says."""

    role: Role | None = None
    links: bool = False
    """A share link that covers it will do, too."""
    is_hidden: bool = False
    """Others than those get 404 instead of 403: they aren't told that it is there."""
    hides_from_links: bool = False
    other: str = ""

    def __str__(self) -> str:
        if self.role is None:
            return self.other
        links = ", or a share link that covers it" if self.links else ""
        hidden = "; it isn't there for others" if self.is_hidden else ""
        hidden = hidden or ("; it isn't there for share links" if self.hides_from_links else "")
        return f"{self.role.name.lower()}{links}{hidden}"


ANYBODY = Needs(other="nothing")
A_TOKEN = Needs(other="any token: it shows or changes what is the caller's")
A_PERSON = Needs(other="a person's token")
OWNER_OF_ANY = Needs(other="the token of an owner of some project, whichever")
WORKER = Needs(other="a key with the scope `worker`, or an administrator's token")
ADMIN = Needs(other="an administrator's token")
READER = Needs(rights.READ, links=True)
MEMBER = Needs(rights.READ)
MEMBER_OF_QUESTIONS = Needs(rights.READ, hides_from_links=True)
ANSWERER = Needs(rights.ANSWER, hides_from_links=True)

OPERATIONS: dict[str, Needs] = {
    # projects
    "POST /projects": A_PERSON,
    "GET /projects": A_TOKEN,
    "GET /projects/{project}": READER,
    "PATCH /projects/{project}": Needs(rights.MANAGE),
    "DELETE /projects/{project}": Needs(rights.MANAGE),
    "GET /projects/{project}/storage": READER,
    "GET /projects/{project}/export": READER,
    # runs
    "POST /projects/{project}/runs": Needs(rights.REPORT),
    "GET /projects/{project}/runs": READER,
    "GET /projects/{project}/active-runs": READER,
    "GET /runs": A_TOKEN,
    "POST /projects/{project}/runs/bulk": Needs(rights.REPORT),
    "GET /runs/compare": A_TOKEN,
    "POST /runs/{run}/metrics": Needs(rights.REPORT),
    "GET /runs/{run}/metrics": READER,
    "GET /runs/{run}": READER,
    "DELETE /runs/{run}": Needs(rights.ERASE),
    "POST /runs/{run}/logs/redact": Needs(rights.ERASE),
    "GET /runs/{run}/children": READER,
    "PATCH /runs/{run}": Needs(rights.REPORT),
    "POST /runs/{run}/cancel": Needs(rights.CANCEL),
    "POST /runs/{run}/retry": Needs(rights.RETRY),
    "POST /runs/{run}/heartbeat": Needs(rights.REPORT),
    "POST /runs/{run}/progress": Needs(rights.REPORT),
    "POST /runs/{run}/demo": Needs(rights.DEMO),
    "GET /runs/{run}/status": READER,
    # artifacts
    "POST /runs/{run}/artifacts": Needs(rights.REPORT),
    "GET /runs/{run}/artifacts": READER,
    "GET /artifacts/{artifact}": READER,
    "DELETE /artifacts/{artifact}": Needs(rights.ERASE),
    "GET /artifacts/{artifact}/content": READER,
    # logs and events
    "POST /runs/{run}/logs": Needs(rights.REPORT),
    "GET /runs/{run}/logs": READER,
    "GET /runs/{run}/export": READER,
    "GET /runs/{run}/logs/search": READER,
    "GET /runs/{run}/logs/{line_number}/raw": READER,
    "POST /runs/{run}/tail": Needs(rights.TAIL),
    "GET /runs/{run}/tail": READER,
    "DELETE /runs/{run}/tail": Needs(rights.TAIL),
    "GET /projects/{project}/events/history": READER,
    # questions
    "POST /runs/{run}/questions": Needs(rights.ASK),
    "GET /questions": A_TOKEN,
    "GET /questions/{question}": MEMBER_OF_QUESTIONS,
    "POST /questions/{question}/answer": ANSWERER,
    "POST /questions/{question}/cancel": ANSWERER,
    # agents
    "POST /agents/{agent}/hooks": Needs(rights.REPORT),
    "POST /runs/{run}/say": Needs(rights.SAY),
    "POST /runs/{run}/messages/take": Needs(rights.REPORT),
    "POST /v1/logs": Needs(rights.REPORT),
    "POST /v1/traces": Needs(rights.REPORT),
    "POST /v1/metrics": Needs(rights.REPORT),
    "POST /otlp/v1/logs": Needs(rights.REPORT),
    "POST /otlp/v1/traces": Needs(rights.REPORT),
    "POST /otlp/v1/metrics": Needs(rights.REPORT),
    "GET /auth/me/away": A_PERSON,
    "PUT /auth/me/away": A_PERSON,
    # notifications
    "GET /auth/me/notifications": A_PERSON,
    "PUT /auth/me/notifications": A_PERSON,
    "POST /auth/me/notifications/test": A_PERSON,
    "PUT /auth/me/presence": A_PERSON,
    # usage
    "GET /projects/{project}/usage": READER,
    "POST /runs/{run}/usage": Needs(rights.REPORT),
    # webhooks
    "POST /projects/{project}/webhooks": Needs(rights.MANAGE),
    "GET /projects/{project}/webhooks": Needs(rights.MANAGE),
    "GET /projects/{project}/webhooks/{webhook}": Needs(rights.MANAGE),
    "PATCH /projects/{project}/webhooks/{webhook}": Needs(rights.MANAGE),
    "DELETE /projects/{project}/webhooks/{webhook}": Needs(rights.MANAGE),
    "POST /projects/{project}/webhooks/{webhook}/rotate": Needs(rights.MANAGE),
    "POST /projects/{project}/webhooks/{webhook}/test": Needs(rights.MANAGE),
    "GET /projects/{project}/webhooks/{webhook}/deliveries": Needs(rights.MANAGE),
    "POST /deliveries/{delivery}/redeliver": Needs(rights.MANAGE, is_hidden=True),
    # tasks
    "POST /projects/{project}/tasks": Needs(rights.PLAN),
    "GET /projects/{project}/tasks": READER,
    "GET /tasks/{task}": READER,
    "PATCH /tasks/{task}": Needs(rights.PLAN),
    "DELETE /tasks/{task}": Needs(rights.ERASE),
    "POST /tasks/{task}/subtasks": Needs(rights.PLAN),
    "GET /tasks/{task}/transitions": READER,
    "POST /tasks/{task}/{move}": Needs(rights.PLAN),
    "POST /projects/{project}/subtasks/claim": Needs(rights.PLAN),
    "POST /subtasks/claim": A_TOKEN,
    "GET /subtasks/{subtask}": READER,
    "PATCH /subtasks/{subtask}": Needs(rights.PLAN),
    "DELETE /subtasks/{subtask}": Needs(rights.ERASE),
    "POST /subtasks/{subtask}/lease": Needs(rights.PLAN),
    "POST /subtasks/{subtask}/{move}": Needs(rights.PLAN),
    # the runtime
    "PUT /workers/{worker_id}/status": WORKER,
    "POST /runtime/events": WORKER,
    "GET /admin/runtime/status": ADMIN,
    "GET /admin/runtime/events": ADMIN,
    "GET /admin/runtime/tasks": ADMIN,
    "GET /admin/stream": ADMIN,
    # members, keys, links, tickets, invitations
    "GET /users": OWNER_OF_ANY,
    "GET /projects/{project}/members": MEMBER,
    "GET /projects/{project}/members/{user}": MEMBER,
    "PUT /projects/{project}/members/{user}": Needs(rights.MANAGE),
    "DELETE /projects/{project}/members/{user}": Needs(rights.MANAGE),
    "POST /projects/{project}/keys": Needs(rights.MANAGE),
    "GET /projects/{project}/keys": Needs(rights.MANAGE),
    "POST /keys": ADMIN,
    "GET /keys": ADMIN,
    "GET /keys/{key}": Needs(rights.MANAGE, is_hidden=True),
    "DELETE /keys/{key}": Needs(rights.MANAGE, is_hidden=True),
    "POST /keys/{key}/rotate": Needs(rights.MANAGE, is_hidden=True),
    "POST /projects/{project}/share-links": Needs(rights.SHARE),
    "GET /projects/{project}/share-links": Needs(rights.SHARE),
    "DELETE /share-links/{link}": Needs(rights.SHARE, is_hidden=True),
    "POST /projects/{project}/stream-tickets": MEMBER,
    "POST /invitations": ADMIN,
    "GET /invitations": ADMIN,
    "DELETE /invitations/{invitation}": Needs(rights.MANAGE, is_hidden=True),
    "POST /invitations/{invitation}/confirm": ADMIN,
    "GET /invitations/{token}": ANYBODY,
    "POST /invitations/{token}/accept": ANYBODY,
    # signing in
    "POST /auth/login": ANYBODY,
    "POST /auth/login-link": ANYBODY,
    "POST /auth/logout": A_TOKEN,
    "POST /auth/refresh": A_PERSON,
    "GET /auth/me": A_TOKEN,
    "PATCH /auth/me": A_PERSON,
    "GET /auth/sessions": A_PERSON,
    "DELETE /auth/sessions": A_PERSON,
    "DELETE /auth/sessions/{session}": A_PERSON,
    "GET /auth/methods": ANYBODY,
    "GET /auth/oidc/login": ANYBODY,
    "GET /auth/oidc/callback": ANYBODY,
    # administration
    "GET /admin/users": ADMIN,
    "POST /admin/users": ADMIN,
    "GET /admin/users/{user}": ADMIN,
    "PATCH /admin/users/{user}": ADMIN,
    "DELETE /admin/users/{user}": ADMIN,
    "POST /admin/users/{user}/sign-in-link": ADMIN,
    "GET /admin/segments/check": ADMIN,
    "GET /admin/audit": ADMIN,
    "GET /admin/ingest/rejects": ADMIN,
    # streams
    "GET /projects/{project}/events": READER,
    "GET /events": READER,
    "GET /runs/{run}/stream": READER,
    "GET /connections": A_TOKEN,
    "GET /admin/connections": ADMIN,
    "PATCH /connections/{connection}": A_TOKEN,
    "DELETE /connections/{connection}": A_TOKEN,
    # the process
    "GET /health": ANYBODY,
    "GET /ready": ANYBODY,
    "GET /metrics": ADMIN,
    "GET /": ANYBODY,
    "GET /docs": ANYBODY,
    "GET /openapi.json": ANYBODY,
}


def as_table() -> str:
    """The operations by what they need, as the documentation shows them, in Markdown."""
    by_needs: dict[str, list[str]] = {}
    for operation, needs in OPERATIONS.items():
        by_needs.setdefault(str(needs), []).append(f"`{operation}`")
    rows = [f"| {needs} | {', '.join(names)} |" for needs, names in by_needs.items()]
    return "\n".join(["| the caller needs | for |", "|---|---|", *rows])
