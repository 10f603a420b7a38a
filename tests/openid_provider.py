"""A small OpenID Connect provider on loopback: `python -m tests.openid_provider PORT`.

It signs in whomever `POST /claims` named last, without asking, and holds to the rest of the protocol: codes
work once, for their redirect address, with their PKCE verifier and the client's secret. Signing keys change
at `POST /rotate`. `POST /beside` names keys that it publishes beside its own, and `POST /documents` members
that its answers have instead of their own.
"""

from __future__ import annotations

import base64
import json
import secrets
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

CLIENT_ID, CLIENT_SECRET = "runcast", "the client's secret"


class Provider:
    """Keys, codes, and who signs in next."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.keys: list[Any] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.claims: dict[str, Any] = {"sub": "ann"}
        self.beside: list[Any] = []
        self.odd: dict[str, Any] = {}
        self.lock = threading.Lock()
        self.rotate("RSA")

    def rotate(self, kind: str) -> None:
        """A new signing key instead of the old one."""
        key_id = {"kid": secrets.token_hex(4), "use": "sig"}
        fresh = (
            RSAKey.generate_key(2048, key_id)
            if kind == "RSA"
            else ECKey.generate_key("P-256", key_id)
        )
        self.keys = [fresh]

    def sign(self, claims: dict[str, Any]) -> str:
        key = self.keys[0]
        algorithm = "RS256" if key.key_type == "RSA" else "ES256"
        return jwt.encode({"alg": algorithm, "kid": key.kid}, claims, key, algorithms=[algorithm])

    def metadata(self) -> dict[str, Any]:
        own = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        }
        return own | self.odd

    def jwks(self) -> dict[str, Any]:
        found: dict[str, Any] = KeySet(self.keys).as_dict(private=False)
        return {"keys": [*self.beside, *found["keys"], *self.beside]} | self.odd

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser goes with its code."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        answer = {"code": code, "state": query["state"]}
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any]:
        """The identity token for a code. Raises `ValueError` for whatever doesn't fit."""
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        asked = self.codes.pop(form["code"], None)
        if asked is None or authorization != f"Basic {basic}":
            raise ValueError("invalid_grant")
        if form["redirect_uri"] != asked["redirect_uri"]:
            raise ValueError("invalid_grant")
        if create_s256_code_challenge(form["code_verifier"]) != asked["code_challenge"]:
            raise ValueError("invalid_grant")
        now = int(time.time())
        own = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 60,
            "nonce": asked["nonce"],
        }
        return {
            "access_token": secrets.token_urlsafe(16),
            "token_type": "Bearer",
            "id_token": self.sign(own | self.claims),
        } | self.odd

    def asked(self, path: str, body: str, authorization: str) -> dict[str, Any]:
        """The answer to a POST. All but `/token` is for the tests."""
        match path:
            case "/token":
                form = {name: values[0] for name, values in parse_qs(body).items()}
                return self.token(form, authorization)
            case "/claims":
                self.claims = json.loads(body)
            case "/beside":
                self.beside = json.loads(body)
            case "/documents":
                self.odd = json.loads(body)
            case "/rotate":
                self.rotate(body)
            case "/sign":
                return {"token": self.sign(json.loads(body))}
        return {}


def handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if parts.path == "/.well-known/openid-configuration":
                self.answer(200, provider.metadata())
            elif parts.path == "/jwks":
                self.answer(200, provider.jwks())
            elif parts.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.authorize(query))
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self.answer(404, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            with provider.lock:
                try:
                    shown = self.headers.get("Authorization", "")
                    self.answer(200, provider.asked(self.path, body, shown))
                except (ValueError, KeyError) as error:
                    self.answer(400, {"error": str(error)})

        def answer(self, status: int, body: dict[str, Any]) -> None:
            encoded = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def main() -> None:
    """Serve until killed; the port that was taken is printed first."""
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), BaseHTTPRequestHandler)
    provider = Provider(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = handler(provider)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
