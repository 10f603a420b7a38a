"""Where messages go: checked when it is set, and kept so that only the part that sends can read it."""

from __future__ import annotations

import base64
import importlib.util
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from runcast_api.notifications.schemas import Subscription, Target
from runcast_api.outgoing import addresses
from runcast_api.outgoing.addresses import Refused
from runcast_server.errors import Invalid

Json = dict[str, Any]

_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")
_NTFY_SCHEMES: Mapping[str, str] = {
    "ntfy": "https",
    "ntfys": "https",
    "https": "https",
    "http": "http",
}
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,30})://.")
_SECOND_ADDRESS = re.compile(r"[\s,;]+[a-z0-9]+://", re.IGNORECASE)
"""What Apprise takes for a further address in the same text."""
LOCAL_SCHEMES = frozenset(
    {"dbus", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows", "file"}
)
"""Of Apprise: what shows or writes something on the server itself."""
HAS_APPRISE = importlib.util.find_spec("apprise") is not None


def secret_of(target: Target, field: str, *, allows_private: bool) -> Json | None:
    """What is kept of a target's address; None where it isn't given again. Raises `Invalid` naming the member
    of `field` that can't be used."""
    match target.kind:
        case "ntfy":
            return None if target.url is None else _ntfy(target, field, allows_private)
        case "webpush":
            _refuse(target.url, f"{field}.url", "a browser has a subscription instead")
            if target.subscription is None:
                return None
            return _push(target.subscription, field, allows_private)
    return None if target.url is None else _apprise(target.url, field)


def name_of(target: Target) -> str:
    """What a target is called where it isn't said. Its address was checked before."""
    if target.name is not None:
        return target.name
    if target.url is None:
        return target.id
    if target.kind == "apprise":
        return target.url.partition("://")[0]
    parts = urlsplit(target.url)
    return f"{parts.hostname}{parts.path}"[:200]


def _refuse(value: object, field: str, why: str) -> None:
    if value is not None:
        raise Invalid.of(field, why)


def _ntfy(target: Target, field: str, allows_private: bool) -> Json:
    assert target.url is not None
    _refuse(target.subscription, f"{field}.subscription", "ntfy has none")
    try:
        parts = urlsplit(target.url)
        topic = parts.path.strip("/")
        base = f"{_NTFY_SCHEMES[parts.scheme]}://{parts.netloc}"
        if not _TOPIC.fullmatch(topic) or parts.query or parts.fragment:
            raise Refused("doesn't end in one topic of letters, digits, - and _")
        addresses.check_url(base, allows_private=allows_private)
    except (KeyError, ValueError):
        raise Invalid.of(f"{field}.url", "isn't an address such as ntfy://ntfy.sh/topic") from None
    except Refused as refused:
        raise Invalid.of(f"{field}.url", str(refused)) from None
    if target.token is not None and not (target.token.isascii() and target.token.isprintable()):
        raise Invalid.of(f"{field}.token", "holds what can't stand in a header")
    return {"base": base, "topic": topic, "token": target.token or None}


def _push(subscription: Subscription, field: str, allows_private: bool) -> Json:
    where = f"{field}.subscription"
    endpoint = subscription.endpoint
    try:
        addresses.check_url(endpoint, allows_private=allows_private)
        if urlsplit(endpoint).scheme != "https" and not allows_private:
            raise Refused("must begin with https://")
    except Refused as refused:
        raise Invalid.of(f"{where}.endpoint", str(refused)) from None
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(
            ec.SECP256R1(), decoded(subscription.keys.p256dh)
        )
    except ValueError:
        raise Invalid.of(f"{where}.keys.p256dh", "isn't a point of P-256 as base64url") from None
    if len(_decoded_or_none(subscription.keys.auth)) != 16:
        raise Invalid.of(f"{where}.keys.auth", "isn't 16 bytes as base64url")
    return {"endpoint": endpoint, "keys": subscription.keys.model_dump()}


def decoded(text: str) -> bytes:
    """The bytes of base64url, with or without padding. Raises `ValueError`."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _decoded_or_none(text: str) -> bytes:
    try:
        return decoded(text)
    except ValueError:
        return b""


def _apprise(url: str, field: str) -> Json:
    if not HAS_APPRISE:
        raise Invalid.of(f"{field}.kind", "this server has no Apprise; its operator can install it")
    found = _SCHEME.match(url)
    if found is None:
        raise Invalid.of(f"{field}.url", "isn't an Apprise URL such as slack://…")
    if _SECOND_ADDRESS.search(url):
        raise Invalid.of(f"{field}.url", "holds more than one address; make a target of each")
    if found[1] in LOCAL_SCHEMES:
        raise Invalid.of(f"{field}.url", f"{found[1]}:// shows something on the server itself")
    return {"url": url}
