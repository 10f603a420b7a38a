"""E-mail addresses: what finds an account, and what may be made one."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from runcast_api.accounts.signing_in import Email, normalized

_email: TypeAdapter[str] = TypeAdapter(Email)


def test_case_makes_no_difference_and_no_letter_becomes_another() -> None:
    assert normalized(" Ann@Example.ORG ") == "ann@example.org"
    assert normalized("J\u00dcRGEN@example.org") == "j\u00fcrgen@example.org"
    assert normalized("\u212aate@example.org") != "kate@example.org", "the Kelvin sign"


@pytest.mark.parametrize(
    "email",
    [
        "Ann@Example.org",
        "j\u00fcrgen@b\u00fccher.example",
        "info@\u043f\u043e\u0447\u0442\u0430.example",
        "\u7528\u6237@example.org",
    ],
)
def test_addresses_in_letters_of_one_script_are_taken(email: str) -> None:
    assert _email.validate_python(email) == email.lower()


@pytest.mark.parametrize(
    "email",
    [
        "\u0430dmin@example.org",
        "admin@ex\u0430mple.org",
        "adm\u03b9n@example.org",
        "\u212aate@example.org",
        "\uff41dmin@example.org",
        "a\u0301nn@example.org",
        "admin\u200b@example.org",
        "admin@example.org\u202e",
    ],
)
def test_what_looks_like_another_address_is_refused(email: str) -> None:
    with pytest.raises(ValidationError, match="must be an e-mail address"):
        _email.validate_python(email)
