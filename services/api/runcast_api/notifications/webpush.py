"""Web Push: a message to a browser, encrypted so that its push service can't read it.

RFC 8291 (encryption), RFC 8188 (its coding), RFC 8292 (VAPID, by which a push service knows us), RFC 8030
(the request). The libraries for it bring two HTTP clients of their own, and one has no wheel; what is left
of them without those is these few lines over `cryptography`, which a test holds to the RFC's own example.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import jwt
import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from runcast_api.notifications.messages import Message, cut
from runcast_api.notifications.targets import decoded
from runcast_server.db import Pool, acquire

CURVE = ec.SECP256R1()
RECORD_BYTES = 4096
"""What a push service takes at least, and the most that one takes of us."""
PLAIN_BYTES = RECORD_BYTES - 86 - 17
SHORT_BYTES = 400
KEPT_SECONDS = 24 * 3600
"""For how long a push service keeps a message for a browser that is away."""
TOKEN_SECONDS = 12 * 3600

_KEYS = "SELECT private FROM push_keys"
_ADD = "INSERT INTO push_keys (private, public) VALUES ($1, $2) ON CONFLICT DO NOTHING"


@dataclass(eq=False)
class WebPush:
    """Makes requests to push services. The key is the setting's, or one that is made once and kept."""

    pool: Pool
    given_key: SecretStr | None
    contact: str
    _key: ec.EllipticCurvePrivateKey | None = None
    _tokens: dict[str, tuple[float, str]] = field(default_factory=dict)

    async def public_key(self) -> str:
        """By which browsers subscribe (`applicationServerKey`)."""
        return _encoded(point(await self._private()))

    async def request(
        self, secret: Mapping[str, Any], message: Message
    ) -> tuple[str, dict[str, str], bytes]:
        """Address, headers and body of the POST."""
        endpoint: str = secret["endpoint"]
        headers = {
            "authorization": await self._authorization(endpoint),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(KEPT_SECONDS),
            "urgency": "low" if message.is_quiet else "high" if message.is_urgent else "normal",
            # A later one takes this one's place where the browser is away.
            "topic": message.tag[:32],
        }
        keys = secret["keys"]
        body = encrypt(payload(message), decoded(keys["p256dh"]), decoded(keys["auth"]))
        return endpoint, headers, body

    async def _private(self) -> ec.EllipticCurvePrivateKey:
        if self._key is None:
            self._key = read_key(
                self.given_key.get_secret_value() if self.given_key else await self._kept()
            )
        return self._key

    async def _kept(self) -> str:
        async with acquire(self.pool) as connection:
            kept: str | None = await connection.fetchval(_KEYS)
            if kept is None:
                fresh = ec.generate_private_key(CURVE)
                number = fresh.private_numbers().private_value.to_bytes(32, "big")
                await connection.execute(_ADD, _encoded(number), _encoded(point(fresh)))
                kept = await connection.fetchval(_KEYS)
        assert kept is not None
        return kept

    async def _authorization(self, endpoint: str) -> str:
        """RFC 8292, section 3. One token serves an origin for half of its time."""
        parts = urlsplit(endpoint)
        audience = f"{parts.scheme}://{parts.netloc}"
        key = await self._private()
        made, token = self._tokens.get(audience, (0.0, ""))
        if made + TOKEN_SECONDS / 2 < time.time():
            made = time.time()
            claims = {"aud": audience, "exp": int(made) + TOKEN_SECONDS, "sub": self.contact}
            token = jwt.encode(claims, key, algorithm="ES256")
            if len(self._tokens) >= 100:
                self._tokens.clear()
            self._tokens[audience] = (made, token)
        return f"vapid t={token}, k={_encoded(point(key))}"


def read_key(text: str) -> ec.EllipticCurvePrivateKey:
    """A private key as tools for VAPID print it: 32 bytes as base64url."""
    return ec.derive_private_key(int.from_bytes(decoded(text), "big"), CURVE)


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public key as an uncompressed point."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def payload(message: Message) -> bytes:
    """What the service worker gets."""
    for text in (message.text, cut(message.text, SHORT_BYTES)):
        sent = orjson.dumps(
            {
                "title": message.title,
                "body": text,
                "tag": message.tag,
                "url": message.url,
                "quiet": message.is_quiet,
                "buttons": [
                    {"action": button.role, "title": button.label, "path": f"/a/{button.token}"}
                    for button in message.buttons
                ],
            }
        )
        if len(sent) <= PLAIN_BYTES:
            break
    return sent


def encrypt(
    plain: bytes,
    browser: bytes,
    auth: bytes,
    key: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """The body for a browser with this public key and secret (RFC 8291, section 3.4). `key` and `salt` are
    made for each message."""
    key = key or ec.generate_private_key(CURVE)
    salt = salt or os.urandom(16)
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, browser)
    ours = point(key)
    shared = key.exchange(ec.ECDH(), theirs)
    material = _derived(auth, shared, b"WebPush: info\x00" + browser + ours, 32)
    content_key = _derived(salt, material, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _derived(salt, material, b"Content-Encoding: nonce\x00", 12)
    sealed = AESGCM(content_key).encrypt(nonce, plain + b"\x02", None)
    return salt + RECORD_BYTES.to_bytes(4, "big") + bytes([len(ours)]) + ours + sealed


def _derived(salt: bytes, material: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(material)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
