"""A key set's keys cost themselves alone, and no token makes its reader raise."""

from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from runcast_server.auth import jwts

RSA = RSAKey.generate_key(2048).as_dict(private=False) | {"kid": "good"}
UNUSABLE: list[Any] = [
    ECKey.generate_key("P-521").as_dict(private=False) | {"kid": "another curve"},
    ECKey.generate_key("P-256").as_dict(private=False) | {"kid": "no point", "x": "AA"},
    OKPKey.generate_key("Ed25519").as_dict(private=False) | {"kid": "another kind"},
    OctKey.generate_key(256).as_dict() | {"kid": "a secret"},
    {"kty": "RSA", "kid": "empty"},
    {"kty": "RSA", "kid": "no number", "n": 5, "e": "AQAB"},
    RSA | {"kid": ["a list"]},
    RSA | {"kid": "for encryption", "use": "enc"},
    {"kty": ["RSA"]},
    {"kid": "of no kind"},
    "a text",
    None,
]


def test_a_key_that_cannot_be_used_costs_itself_alone() -> None:
    assert list(jwts.keys_in({"keys": [*UNUSABLE, RSA, *UNUSABLE]})) == ["good"]


@pytest.mark.parametrize("document", [None, [], "x", {}, {"keys": None}, {"keys": {"a": RSA}}])
def test_what_is_no_key_set_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="not a JSON Web Key Set"):
        jwts.keys_in(document)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "a", "exp": float("inf")},
        {"sub": "a", "exp": "soon"},
        {"sub": "a", "exp": {}},
        {"sub": "a", "nbf": float("nan"), "exp": 9_999_999_999},
        {"sub": ["a"], "exp": 9_999_999_999},
        {"exp": 9_999_999_999},
        {"sub": "a", "iat": "never"},
    ],
)
def test_a_token_of_odd_claims_is_no_good_token(claims: dict[str, Any]) -> None:
    token = jwt.encode(claims, "secret", algorithm="HS256")
    assert jwts.Claims().verified(token, "secret", ["HS256"]) is None


@pytest.mark.anyio
async def test_no_token_names_who_signs_in_at_the_provider() -> None:
    """Their subjects are the provider's address and what it calls them."""
    given = jwts.Claims(reserved="https://idp.example.org#")
    database: Any = None
    said = {"sub": "https://idp.example.org#ceo", "role": "admin"}
    assert await jwts.principal(database, said, given) is None


def test_an_end_beyond_the_calendar_is_the_last_one() -> None:
    milliseconds = 1_800_000_000_000
    assert jwts._moment(milliseconds) == datetime(9998, 12, 31, tzinfo=UTC)
    assert jwts._moment(None) is None
