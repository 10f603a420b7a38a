"""Sign-in with OpenID Connect: the authorization code flow with PKCE (RFC 7636), by Authlib's pieces.

What must come back unchanged (state, nonce, verifier) waits in a cookie of the browser that set out, so any
API process can finish what another one began, and no one else's answer fits.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import httpx
import orjson
import structlog
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from joserfc import jwt
from joserfc.jwk import JWKRegistry, Key, KeySet

from runcast._support.ids import uuid7
from runcast_api.accounts.signing_in import normalized
from runcast_server.auth.fetched import Fetched, fetch
from runcast_server.auth.principal import HOST_PREFIX
from runcast_server.db import Database, acquire
from runcast_server.errors import Unauthenticated, Unavailable
from runcast_server.settings import AuthSettings

COOKIE = "runcast_oidc"
COOKIE_PATH = "/auth/oidc"
COOKIE_SECONDS = 600
CALLBACK = "/auth/oidc/callback"
FETCH_SECONDS = 10.0
KEPT_SECONDS = 3600.0
LEEWAY_SECONDS = 30
ENDPOINTS = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
ALGORITHMS = ["RS256", "ES256", "PS256", "EdDSA"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Journey:
    """A browser's way to the provider and back."""

    state: str
    nonce: str
    verifier: str
    return_to: str

    @classmethod
    def begin(cls, return_to: str) -> Journey:
        """With fresh secrets. `return_to` is a path of ours, or the console's start instead."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, _own(return_to))

    def pack(self) -> str:
        """As the cookie holds it."""
        members = [self.state, self.nonce, self.verifier, self.return_to]
        return base64.urlsafe_b64encode(orjson.dumps(members)).decode()

    @classmethod
    def unpack(cls, cookie: str | None) -> Journey:
        """What `pack` made; someone else may have. Raises `Unauthenticated`."""
        try:
            members = orjson.loads(base64.urlsafe_b64decode(cookie or ""))
            state, nonce, verifier, return_to = (str(each) for each in members)
        except (ValueError, TypeError):
            raise Unauthenticated("the sign-in was not begun here, or took too long") from None
        return cls(state, nonce, verifier, _own(return_to))


def _own(return_to: str) -> str:
    """A path of the console; its start in place of anything else."""
    is_own = return_to.startswith("/ui/") and "\\" not in return_to
    return return_to if is_own else "/ui/"


def cookie_place(*, is_secure: bool) -> tuple[str, str]:
    """The name and the path of the cookie. Over TLS this host alone can set it (RFC 6265bis, section
    4.1.3.2): a sibling domain's page could else put its own sign-in into the place of a visitor's."""
    return (HOST_PREFIX + COOKIE, "/") if is_secure else (COOKIE, COOKIE_PATH)


class OpenId:
    """One provider, learnt from its issuer's discovery document when it is first needed."""

    def __init__(self, issuer: str, client_id: str, secret: str | None, scopes: str) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._secret = secret
        self._scopes = scopes
        self._metadata: OpenIDProviderMetadata | None = None
        self._learnt_at = float("-inf")

    @classmethod
    def configured(cls, settings: AuthSettings) -> OpenId | None:
        """The provider of the settings, if there is one."""
        if settings.oidc_issuer is None or settings.oidc_client_id is None:
            return None
        secret = settings.oidc_client_secret
        return cls(
            settings.oidc_issuer,
            settings.oidc_client_id,
            secret.get_secret_value() if secret else None,
            settings.oidc_scopes,
        )

    @property
    def issuer(self) -> str:
        return self._issuer

    async def leave(self, journey: Journey, public_url: str) -> str:
        """The provider's address to which the browser goes. Raises `Unavailable`."""
        provider = await self._provider()
        return str(
            prepare_grant_uri(
                provider["authorization_endpoint"],
                self._client_id,
                "code",
                redirect_uri=public_url + CALLBACK,
                scope=self._scopes,
                state=journey.state,
                nonce=journey.nonce,
                code_challenge=create_s256_code_challenge(journey.verifier),
                code_challenge_method="S256",
            )
        )

    async def arrive(
        self, journey: Journey, query: Mapping[str, str], public_url: str
    ) -> dict[str, Any]:
        """The verified claims of who came back. Raises `Unauthenticated`, `Unavailable`."""
        if not hmac.compare_digest(query.get("state", "").encode(), journey.state.encode()):
            raise Unauthenticated("the sign-in was not begun here, or took too long")
        if "code" not in query:
            raise Unauthenticated(f"the provider refused: {query.get('error', 'no code')[:100]}")
        provider = await self._provider()
        answer = await self._exchange(provider, query["code"], journey.verifier, public_url)
        return await self._verified(provider, answer, journey.nonce)

    async def _exchange(
        self, provider: Mapping[str, Any], code: str, verifier: str, public_url: str
    ) -> dict[str, Any]:
        form = dict(
            parse_qsl(
                prepare_token_request(
                    "authorization_code",
                    redirect_uri=public_url + CALLBACK,
                    code=code,
                    code_verifier=verifier,
                    client_id=self._client_id,
                )
            )
        )
        auth = httpx.BasicAuth(self._client_id, self._secret) if self._secret is not None else None
        answer = await _fetched(str(provider["token_endpoint"]), form, auth)
        if answer.status != 200 or not isinstance(answer.value.get("id_token"), str):
            log.warning("oidc.refused", status=answer.status, error=answer.value.get("error"))
            raise Unauthenticated("the provider did not confirm the sign-in")
        found: dict[str, Any] = answer.value
        return found

    async def _verified(
        self, provider: Mapping[str, Any], answer: Mapping[str, Any], nonce: str
    ) -> dict[str, Any]:
        """Checked as OpenID Connect Core 1.0, section 3.1.3.7, asks for."""
        keys = keys_in(await self._fetch(provider["jwks_uri"]))
        try:
            token = jwt.decode(answer["id_token"], keys, algorithms=ALGORITHMS)
            claims = CodeIDToken(
                token.claims,
                token.header,
                {
                    "iss": {"essential": True, "value": provider["issuer"]},
                    "aud": {"essential": True, "value": self._client_id},
                    "nonce": {"essential": True, "value": nonce},
                },
                {"nonce": nonce, "client_id": self._client_id},
            )
            claims.validate(leeway=LEEWAY_SECONDS)
        except Exception as error:  # the outermost place of a token: claims may be of any type
            log.warning("oidc.token_refused", error=repr(error))
            raise Unauthenticated("the provider's answer can't be trusted") from error
        return dict(token.claims)

    async def _provider(self) -> OpenIDProviderMetadata:
        if self._metadata is None or time.monotonic() - self._learnt_at > KEPT_SECONDS:
            found = OpenIDProviderMetadata(
                await self._fetch(get_well_known_url(self._issuer, external=True))
            )
            missing = [name for name in ENDPOINTS if not isinstance(found.get(name), str)]
            if missing:
                raise Unavailable(f"the provider's discovery document lacks {', '.join(missing)}")
            if str(found.get("issuer", "")).rstrip("/") != self._issuer.rstrip("/"):
                raise Unavailable("the provider's discovery document is another issuer's")
            self._metadata, self._learnt_at = found, time.monotonic()
        return self._metadata

    async def _fetch(self, url: str) -> dict[str, Any]:
        answer = await _fetched(url)
        if answer.status != 200:
            raise Unavailable(f"the provider answers {answer.status}")
        document: dict[str, Any] = answer.value
        return document


async def _fetched(url: str, form: dict[str, str] | None = None, auth: Any = None) -> Fetched:
    """What the provider answers, which is an object. Raises `Unavailable`."""
    try:
        answer = await fetch(url, FETCH_SECONDS, form, auth)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
        raise Unavailable("the provider can't be reached") from error
    if not isinstance(answer.value, dict):
        raise Unavailable("the provider answers something else than an object")
    return answer


def keys_in(document: dict[str, Any]) -> KeySet:
    """The keys of a key set that can be used here. One that can't is left out, as RFC 7517 asks (section 5).
    Raises `Unavailable` for what is no key set."""
    published = document.get("keys")
    if not isinstance(published, list):
        raise Unavailable("the provider's keys aren't a key set")
    keys: list[Key] = []
    for each in published:
        try:
            key = JWKRegistry.import_key(each)
            key.ensure_kid()
            keys.append(key)
        except Exception as error:  # the outermost place of a key
            log.info("oidc.key_left_out", error=repr(error))
    return KeySet(keys)


async def person_of(database: Database, issuer: str, claims: Mapping[str, Any]) -> UUID:
    """The account of verified claims, made on first sight. Raises `Unauthenticated`.

    An account that was invited or made with the same address is the same person's, if the provider says
    that it has verified the address.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255 or _storable(subject) != subject:
        raise Unauthenticated("the provider names no subject that can be one's")
    email = claims.get("email")
    email = _storable(email[:254]) if isinstance(email, str) and "@" in email else None
    verified = normalized(email) if email and claims.get("email_verified") is True else None
    name = str(claims.get("name") or claims.get("preferred_username") or email or "")
    async with acquire(database.accounts) as connection:
        row = await connection.fetchrow(
            "SELECT * FROM openid_holder($1, $2, $3, $4, $5)",
            uuid7(),
            f"{issuer}#{subject}",
            verified,
            email,
            _storable(name[:200]),
        )
    if row is None or row["is_disabled"]:
        raise Unauthenticated("this account was disabled")
    user_id: UUID = row["user_id"]
    return user_id


def _storable(text: str) -> str:
    """Without what a text of Postgres can't hold: NUL, and halves of characters."""
    return text.encode(errors="ignore").decode().replace("\x00", "")
