"""Secrets are recognised wherever they stand, and nothing else is."""

import json
import re
import time

import pytest

from runcast.agents import texts
from runcast.agents.redaction import _SHAPES, MARK, Redaction
from runcast.agents.secret_shapes import TOKENS as SHAPES
from runcast.agents.secret_shapes import Gate

GITHUB = "gh" + "p_" + "a1B2" * 9
ANTHROPIC = "sk-" + "ant-api03-" + "a1B2_" * 8
OPENAI = "sk-" + "proj-" + "a1B2-" * 8
OLD_OPENAI = "sk-" + "a1B2" * 10
AWS = "AKIA" + "A1B2" * 4
GOOGLE = "AIza" + "a1B2_" * 7
SLACK = "xox" + "b-" + "12345-" * 3 + "abc"
GITLAB = "gl" + "pat-" + "a1B2" * 5
WEB = ".".join(("eyJ" + "a1B2" * 5, "eyJ" + "c3D4" * 5, "e5F6" * 8))
STRIPE_HOOK = "wh" + "sec_" + "a1B2" * 8
TELEGRAM = "123456789:" + "AA" + "a1B" * 11
SENDGRID = "S" + "G." + "a1B2c" * 4 + "ab." + "c3D4" * 10 + "abc"
TOKENS = (
    *(GITHUB, ANTHROPIC, OPENAI, OLD_OPENAI, AWS, GOOGLE, SLACK, GITLAB, WEB),
    *(STRIPE_HOOK, TELEGRAM, SENDGRID),
)
OTHERS = (
    "gl" + "rt-" + "a1B2" * 5,
    "xai" + "-" + "a1B2" * 15,
    "gs" + "k_" + "a1B2" * 13,
    "pplx" + "-" + "a1B2" * 12,
    "hv" + "s." + "a1B2" * 8,
    "shp" + "at_" + "a1b2" * 8,
    "dop" + "_v1_" + "a1b2" * 16,
    "dckr" + "_pat_" + "a1B2" * 7,
    "lin" + "_api_" + "a1B2" * 10,
    "nt" + "n_" + "a1B2" * 12,
    "fig" + "d_" + "a1B2" * 10,
    "gl" + "sa_" + "a1B2" * 8 + "_" + "a1b2" * 2,
    "sntry" + "s_" + "a1B2" * 12,
    "sb" + "p_" + "a1b2" * 10,
    "pscale" + "_tkn_" + "a1B2" * 10,
    "tskey" + "-auth-" + "a1B2c3D4CNTRL-" + "a1B2" * 8,
    "da" + "pi" + "a1b2" * 8,
    "PM" + "AK-" + "a1b2" * 6 + "-" + "a1b2" * 8 + "c3",
    "HR" + "KU-" + "a1B2" * 10,
    "ATA" + "TT3x" + "a1B2" * 20,
    "AGE-SECRET-" + "KEY-1" + "A1B2" * 14,
    "r" + "8_" + "a1B2" * 9 + "c",
    "rubygems" + "_" + "a1b2" * 12,
    "rk" + "_live_" + "a1B2" * 8,
    "npm" + "_" + "a1B2" * 9,
    "h" + "f_" + "a1B2" * 9,
)
LINES = ["MIIE" + "a1B/" * 15] * 8
BODY = [*LINES, "c3+d4=="]
BEGIN, END = "-----BEGIN RSA " + "PRIVATE KEY-----", "-----END RSA " + "PRIVATE KEY-----"


def text(given: str) -> str:
    return Redaction().text(given)


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "A={} x",
        "key: {}.",
        'say "{}"',
        "x='{}'",
        "`{}`",
        "({})",
        "https://{}@github.com/o/r.git",
        "https://{}:x-oauth-basic@github.com/o/r.git",
        "https://oauth2:{}@github.com/o/r.git",
        "https://host/path?a=1&token={}&b=2",
        "?token%3D{}",
        r"a\n{}\nb",
        r"\"{}\"",
        r"\u0022{}\u0022",
        "\x1b[32m{}\x1b[0m",
        r"\u001b[1;32m{}",
        "Authorization: Bearer {}",
    ],
)
def test_tokens_are_hidden_wherever_they_stand(token: str, around: str) -> None:
    given = around.format(token)
    redaction = Redaction()
    assert redaction.may_change(json.dumps(given).encode())
    assert token not in redaction.text(given)
    assert MARK in redaction.text(given)
    nested = json.dumps({"out": json.dumps({"out": given}, ensure_ascii=False)}, ensure_ascii=False)
    assert token not in redaction.text(nested)
    assert redaction.text(redaction.text(given)) == redaction.text(given)


@pytest.mark.parametrize(
    ("given", "secret"),
    [
        ("postgres://app:hunter2@db/x", "hunter2"),
        ("redis://:hunter2@cache:6379", "hunter2"),
        (f"aws_secret_access_key = {'a1B/' * 10}", "a1B/" * 10),
        (f'"SecretAccessKey": "{"a1B+" * 10}"', "a1B+" * 10),
        (f"curl -H 'authorization: bearer {'a1b2' * 10}'", "a1b2" * 10),
        (f"Authorization: Basic {'dXNl' * 5}==", "dXNl" * 5),
        (f"curl -H 'X-Api-Key: {'a1b2' * 6}' https://h", "a1b2" * 6),
        (f'{{"private-token":"{"a1b2" * 6}"}}', "a1b2" * 6),
        (f"Credential={AWS}/20261126/us-east-1", AWS),
        (f"the key is {GITHUB}.Use it", GITHUB),
        ("https://hooks.slack.com/services/" + "T000/B000/" + "a1B2" * 6, "a1B2" * 6),
        (f"{GITHUB[:12]}…", GITHUB[:12]),
        (f"AccountKey={'a1B/' * 21}ab==;Endpoint", "a1B/" * 21),
        ("export WEATHER_API_KEY=0123456789abcdef", "0123456789abcdef"),
        ('DB_PASSWORD: "correct-horse-1-battery"', "correct-horse-1-battery"),
        (r"{\"X_SECRET\": \"abcdef1234567890\"}", "abcdef1234567890"),
    ],
)
def test_secrets_are_known_by_what_stands_before_them(given: str, secret: str) -> None:
    assert Redaction().may_change(given.encode())
    assert secret not in text(given)
    assert MARK in text(given)


@pytest.mark.parametrize(
    "given",
    [
        "commit 4d285c1f0a9be2273a9f39967a4d285c1f0a9be2",
        "6f0c2b1e-5a34-4d0e-9a77-0b6c1d2e3f40",
        "sha256-" + "a1B2+/" * 7 + "=",
        f"/srv/{GITHUB}/x",
        f"https://host/{OLD_OPENAI}/x",
        "task-management-with-queues",
        "https://sk-learn-contrib-extensions.example.org/x",
        "http://localhost:3000/x@y and http://[::1]:80/a@b",
        "git clone git@github.com:o/r.git",
        "postgres://app:${PASSWORD}@db/x",
        "the bearer of this letter; bearer authentication-is-required",
        "from the PRIVATE KEY of another",
        'secret_access_key = os.environ["AWS_SECRET_ACCESS_KEY"]',
        "MAX_TOKENS=100000 TOKEN_URL=https://host/path/1234567890",
        "GH_TOKEN=$GITHUB_TOKEN_1 SSH_PRIVATE_KEY=/home/me/.ssh/id_ed25519",
        "API_KEY=your-api-key-goes-here",
        "TOKEN=12",
        "12:34:56 PRIMARY_KEY=identifier_1234567",
    ],
)
def test_what_is_no_secret_stays(given: str) -> None:
    assert text(given) == given


def test_tokens_of_further_services_are_hidden() -> None:
    for token in OTHERS:
        given = f"use {token} here"
        assert Redaction().may_change(json.dumps(given).encode()), token
        assert text(given) == f"use {MARK} here"


def test_every_cue_opens_the_gate() -> None:
    cues = [cue for cues, _ in SHAPES for cue in cues]
    gate = Gate(cues)
    assert all(gate.opens(f"a {cue} b".encode()) for cue in cues)
    assert not gate.opens(b"an ordinary line: def read(self) -> None, 2026-11-26 and some_name")


def test_no_cue_is_narrower_than_its_shape() -> None:
    """What a shape matches in another case is redacted in that case, too."""
    digits = "a1B2" * 10
    keyed = [f"{name}: {digits}" for name in ("secret_access_key", "secretAccessKey")]
    keyed += [f"{name}={digits * 3}" for name in ("session_token", "sessionToken")]
    keyed += [f"authorization: basic {digits}", f"Bearer {digits}", f"X-Api-Key: {digits}"]
    keyed += [
        f"{name}={digits}" for name in ("API_KEY", "SECRET", "TOKEN", "PASSWORD", "AccountKey")
    ]
    redaction, ignoring = Redaction(), 0
    for sample in (*keyed, *TOKENS, *OTHERS):
        forms = (sample, sample.lower(), sample.upper(), sample.title(), sample.swapcase())
        for given in forms:
            matching = [shape for _, shape, _ in _SHAPES if shape.search(given)]
            ignoring += any(shape.flags & re.IGNORECASE for shape in matching)
            assert (MARK in redaction.text(given)) == bool(matching), given
            assert redaction.may_change(json.dumps(given).encode()) or not matching, given
    assert ignoring >= 30


@pytest.mark.parametrize("between", ["\n", r"\n", "\r\n", "\n  ", " ", "\n   12→"])
def test_of_a_private_key_nothing_is_left_however_it_is_cut(between: str) -> None:
    key = between.join([BEGIN, *BODY, END])
    for given in (
        f"before {key} after",
        f"before {between.join([BEGIN, *BODY])}",
        f"{between.join([*BODY, END])} after",
        f"before ⋯ 12 bytes left out ⋯\n{between.join(['1B/a1', *BODY, END])} after",
        f"before all:\n{between.join([*BODY, END])} after",
        f"before\n⋯ 12 bytes left out ⋯\n{between.join([*BODY[-1:], END])} after",
    ):
        shown = text(given)
        assert MARK in shown
        assert shown.startswith("before") == given.startswith("before")
        assert shown.endswith("after") == given.endswith("after")
        assert not any(line in shown for line in (*BODY, "1B/a1", END))


def test_what_a_cut_leaves_of_a_key_or_a_token_is_hidden() -> None:
    key = "\n".join([BEGIN, *BODY * 20, END])
    for length in range(0, 3_000, 97):
        shown = text(texts.shortened("x " * length + key + " y" * 500, 4_000)[0])
        assert LINES[0][8:40] not in shown
    compact = json.dumps([GITHUB] * 400, separators=(",", ":"))
    for limit in range(4_000, 4_060):
        assert "a1B2" * 2 not in text(texts.shortened(compact, limit)[0])


def test_hostile_texts_take_linear_time() -> None:
    """A quadratic search takes minutes for these; a linear one a moment."""
    for part in (
        "sk-",
        "rc_",
        "ghp_",
        "eyJ",
        "://a:",
        "://",
        "bearer " + "a" * 500 + " ",
        "eyJaaaaaaaaaaa.",
        "-----BEGIN ",
        BEGIN[:-1],
        END,
        f"{LINES[0]}\n",
        "a" * 60 + END,
        r"\n",
        "\x1b[1",
        "secret_access_key=",
        "A_",
        "A1_KEY",
        "API_KEY=a",
        "1" * 7 + ":AA",
    ):
        given = part * (300_000 // len(part))
        began = time.thread_time()
        text(given + END + ".x")
        assert time.thread_time() - began < 5, part
