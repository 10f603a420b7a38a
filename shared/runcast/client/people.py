"""Sign-in, members, keys, links and users (`docs/people.md`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runcast.client.calls import Call, given, path

if TYPE_CHECKING:
    from runcast.client import answers


def login(email: str, password: str) -> Call[answers.SignedIn]:
    return Call("POST", "/auth/login", json={"email": email, "password": password})


def logout() -> Call[None]:
    return Call("POST", "/auth/logout")


def use_login_link(token: str) -> Call[answers.SignedIn]:
    """Signs in by the link that `runcast up` or an administrator printed."""
    return Call("POST", "/auth/login-link", json={"token": token})


def login_methods() -> Call[answers.Methods]:
    return Call("GET", "/auth/methods")


def refresh_session() -> Call[answers.SignedIn]:
    return Call("POST", "/auth/refresh")


def me() -> Call[answers.Me]:
    """Who the token stands for."""
    return Call("GET", "/auth/me")


def update_me(**fields: Any) -> Call[answers.Me]:
    """Takes name, password with current_password."""
    return Call("PATCH", "/auth/me", json=fields)


def list_sessions() -> Call[answers.SessionPage]:
    return Call("GET", "/auth/sessions")


def end_sessions() -> Call[None]:
    return Call("DELETE", "/auth/sessions")


def end_session(session: str) -> Call[None]:
    return Call("DELETE", path("/auth/sessions/{}", session))


def invite(
    email: str, *, project: str | None = None, role: str | None = None
) -> Call[answers.InvitationMade]:
    return Call("POST", "/invitations", json=given(email=email, project=project, role=role))


def list_invitations(
    *, project: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Call[answers.InvitationPage]:
    return Call("GET", "/invitations", {"project": project, "limit": limit, "cursor": cursor})


def get_invitation(token: str) -> Call[answers.InvitationOpened]:
    return Call("GET", path("/invitations/{}", token))


def delete_invitation(invitation: str) -> Call[None]:
    return Call("DELETE", path("/invitations/{}", invitation))


def accept_invitation(token: str, name: str, password: str) -> Call[answers.SignedIn]:
    body = {"name": name, "password": password}
    return Call("POST", path("/invitations/{}/accept", token), json=body)


def list_members(project: str) -> Call[answers.MemberPage]:
    return Call("GET", path("/projects/{}/members", project))


def get_member(project: str, user: str) -> Call[answers.Member]:
    return Call("GET", path("/projects/{}/members/{}", project, user))


def set_member(project: str, user: str, role: str) -> Call[answers.Member]:
    """`role`: owner, editor, reporter, viewer."""
    return Call("PUT", path("/projects/{}/members/{}", project, user), json={"role": role})


def remove_member(project: str, user: str) -> Call[None]:
    return Call("DELETE", path("/projects/{}/members/{}", project, user))


def create_key(
    project: str,
    name: str,
    role: str,
    *,
    scopes: Sequence[str] | None = None,
    expires_at: str | None = None,
) -> Call[answers.KeyMade]:
    """The answer holds the token, once."""
    body = {"name": name, "role": role, **given(scopes=scopes, expires_at=expires_at)}
    return Call("POST", path("/projects/{}/keys", project), json=body)


def list_keys(project: str) -> Call[answers.KeyPage]:
    return Call("GET", path("/projects/{}/keys", project))


def get_key(key: str) -> Call[answers.Key]:
    """A key, without its token."""
    return Call("GET", path("/keys/{}", key))


def find_users(q: str, *, limit: int | None = None) -> Call[answers.PeopleFound]:
    """People with `q` in their name or e-mail address: for owners of a project and administrators."""
    return Call("GET", "/users", {"q": q, "limit": limit})


def get_user(user: str) -> Call[answers.UserShown]:
    return Call("GET", path("/admin/users/{}", user))


def delete_key(key: str) -> Call[None]:
    return Call("DELETE", path("/keys/{}", key))


def create_admin_key(name: str, *, expires_at: str | None = None) -> Call[answers.KeyMade]:
    """An administrator's key: it may do everything. The answer holds the token, once."""
    return Call("POST", "/keys", json={"name": name, **given(expires_at=expires_at)})


def list_all_keys(*, limit: int | None = None, cursor: str | None = None) -> Call[answers.KeyPage]:
    """All keys of the server, for administrators."""
    return Call("GET", "/keys", {"limit": limit, "cursor": cursor})


def rotate_key(key: str, *, overlap_s: float | None = None) -> Call[answers.KeyMade]:
    return Call("POST", path("/keys/{}/rotate", key), json=given(overlap_s=overlap_s))


def create_share_link(
    project: str, *, run_id: str | None = None, expires_at: str | None = None
) -> Call[answers.ShareLinkMade]:
    body = given(run_id=run_id, expires_at=expires_at)
    return Call("POST", path("/projects/{}/share-links", project), json=body)


def list_share_links(project: str) -> Call[answers.ShareLinkPage]:
    return Call("GET", path("/projects/{}/share-links", project))


def delete_share_link(link: str) -> Call[None]:
    return Call("DELETE", path("/share-links/{}", link))


def create_stream_ticket(project: str) -> Call[answers.Ticket]:
    """`{ticket, expires_at}`, for an `EventSource`: once, within 30 s."""
    return Call("POST", path("/projects/{}/stream-tickets", project))


def list_connections(
    *, limit: int | None = None, cursor: str | None = None
) -> Call[answers.ConnectionPage]:
    """Open streams: one's own, an administrator's: all. Without a `limit` it is one page."""
    return Call("GET", "/connections", {"limit": limit, "cursor": cursor})


def change_connection(
    connection_id: str, subscribe_logs: Sequence[str] | str, *, backfill_lines: int | None = None
) -> Call[answers.FilterChanged]:
    """Changes the log filter of a live stream; answers `{subscribe_logs, effective_after}`."""
    logs = subscribe_logs if isinstance(subscribe_logs, str) else list(subscribe_logs)
    body = {"subscribe_logs": logs, **given(backfill_lines=backfill_lines)}
    return Call("PATCH", path("/connections/{}", connection_id), json=body)


def end_connection(connection_id: str) -> Call[None]:
    return Call("DELETE", path("/connections/{}", connection_id))


def list_users(*, limit: int | None = None, cursor: str | None = None) -> Call[answers.UserPage]:
    return Call("GET", "/admin/users", {"limit": limit, "cursor": cursor})


def create_user(
    email: str, name: str, *, password: str | None = None, is_admin: bool = False
) -> Call[answers.UserMade]:
    """Without a password the answer holds a one-time `sign_in_link`."""
    body = {"email": email, "name": name, "is_admin": is_admin, **given(password=password)}
    return Call("POST", "/admin/users", json=body)


def delete_user(user: str) -> Call[None]:
    """Ends an account for good; what it wrote stays, without its name."""
    return Call("DELETE", path("/admin/users/{}", user))


def confirm_invitation(invitation: str) -> Call[answers.Invitation]:
    """Lets an invitation by someone who is no administrator make an account."""
    return Call("POST", path("/invitations/{}/confirm", invitation))


def update_user(
    user: str,
    *,
    name: str | None = None,
    is_admin: bool | None = None,
    is_disabled: bool | None = None,
) -> Call[answers.UserShown]:
    body = given(name=name, is_admin=is_admin, is_disabled=is_disabled)
    return Call("PATCH", path("/admin/users/{}", user), json=body)


def create_sign_in_link(user: str) -> Call[answers.SignInLink]:
    """`{token, url, expires_at}`: signs this person in, once."""
    return Call("POST", path("/admin/users/{}/sign-in-link", user))
