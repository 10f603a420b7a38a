"""Secrets don't leave the machine: what looks like a token or a private key is replaced by `[redacted]`.

Only known shapes are replaced, and never inside a path or a URL's host. `RUNCAST_REDACT` adds patterns, one a
line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from runcast.agents import private_keys
from runcast.agents.secret_shapes import TOKENS, Gate

MARK = "[redacted]"
VARIABLE = "RUNCAST_REDACT"
_DISTINCT = re.compile("|".join(shape for _, shape in TOKENS))
_LIKELY = re.compile(r"sk-[A-Za-z0-9_-]{16,}+|r[cslta]_[A-Za-z0-9_-]{20,}+")
"""Shapes that names of files and hosts have, too."""
_CUT = re.compile(
    r"(?:sk-ant-|gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-)[A-Za-z0-9_-]{4,128}+(?=\s?[⋯…]|\Z)"
)
"""The beginning of a token, where a text was cut."""
_ESCAPE = re.compile(
    r"(?:\\[abefnrtv0]|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|%[0-9A-Fa-f]{2}"
    r"|(?:\x1b|\\e|\\033|\\x1b|\\u001[bB])\[[0-9;]{0,16}[A-Za-z])\Z"
)
"""An escape before a token: its last letter is no part of a word."""
_ESCAPE_CHARACTERS = 24
_USER = re.compile(r"(?::[^\s/@]{0,256}+)?@")
"""What follows a token that is the user of a URL."""
_PATH = re.compile(r"[/.][A-Za-z0-9]")
_NOTHING = re.compile(r"(?!)")
_Replacement = str | Callable[[re.Match[str]], str]


def _unless_within(
    word: str, goes_on: re.Pattern[str] = _NOTHING
) -> Callable[[re.Match[str]], str]:
    """Replaces what doesn't go on a word, which has these characters, and isn't itself gone on with. (A look
    ahead within the shape would search a long word again from each of its places.)"""

    def replaced(match: re.Match[str]) -> str:
        text, start = match.string, match.start()
        if goes_on.match(text, match.end()):
            return match[0]
        if not start or text[start - 1] not in word:
            return MARK
        before = text[max(start - _ESCAPE_CHARACTERS, 0) : start]
        if _ESCAPE.search(before) or (before.endswith("://") and _USER.match(text, match.end())):
            return MARK
        return match[0]

    return replaced


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
_SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str], _Replacement], ...] = (
    (
        tuple(cue for cues, _ in TOKENS for cue in cues),
        _DISTINCT,
        _unless_within(_LETTERS + "/"),
    ),
    (("sk-", "rc_", "rs_", "rl_", "rt_", "ra_"), _LIKELY, _unless_within(_LETTERS + "/.-", _PATH)),
    (
        (
            *("sk-ant-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-"),
            *("xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-"),
        ),
        _CUT,
        _unless_within(_LETTERS + "/"),
    ),
    (
        ("bearer",),
        re.compile(
            r"(?i)(bearer(?:%20|[\s:=\"'\\]{1,4}))"
            r"(?=[a-z._~+/=-]{0,512}[0-9])[a-z0-9._~+/=-]{16,}+"
        ),
        rf"\1{MARK}",
    ),
    (
        ("api-key", "auth-token", "private-token", "access-token"),
        re.compile(
            r"(?i)((?:api-key|auth-token|private-token|access-token)[\"'\\]{0,3}\s?[:=]\s?[\"'\\]{0,3})"
            r"(?=[a-z._~+/=-]{0,512}[0-9])[a-z0-9._~+/=-]{16,}+"
        ),
        rf"\1{MARK}",
    ),
    (
        ("authorization",),
        re.compile(r"(?i)(authorization[\s:=\"'\\]{1,8}basic\s{1,4})[a-z0-9+/=_-]{8,}+"),
        rf"\1{MARK}",
    ),
    (
        ("access_key", "accesskey", "session_token", "sessiontoken"),
        re.compile(
            r"(?i)((?:secret_?access_?key|session_?token)[\s:=\"'\\]{1,8})"
            r"(?:[a-z0-9/+]{40}(?![a-z0-9/+])|[a-z0-9/+=]{100,}+)"
        ),
        rf"\1{MARK}",
    ),
    (
        ("ccountKey=", "ccessKey="),
        re.compile(r"((?:Account|Access)Key=)[A-Za-z0-9+/]{40,}+={0,2}"),
        rf"\1{MARK}",
    ),
    (
        ("hooks.slack.com/", "/api/webhooks/"),
        re.compile(r"(hooks\.slack\.com/[a-z]{5,12}/|/api/webhooks/)[A-Za-z0-9/_-]{20,}+"),
        rf"\1{MARK}",
    ),
    (
        (
            "_KEY",
            "SECRET",
            "TOKEN",
            "PASSW",
        ),  # a variable of an environment, as `cat .env` shows it
        re.compile(
            r"((?:API_KEY|ACCESS_KEY|SECRET_KEY|PRIVATE_KEY|SECRET|TOKEN|PASSWORD|PASSWD)"
            r"\\{0,7}[\"']?[ \t]{0,2}[=:][ \t]{0,2}\\{0,7}[\"']?)"
            r"(?![/~.$])(?=[^\s\"'`$<>(){}\[\],;:\\]{0,256}[0-9])[^\s\"'`$<>(){}\[\],;:\\]{12,}+"
        ),
        rf"\1{MARK}",
    ),
)
"""What has to stand in a text before a shape is looked for, since most texts hold none; the shape; and what
replaces it. A shape that is the same in any case has cues in lower case, which count in any case, too."""
_URL = re.compile(r"(://[^\s/@:?#\"'<>\\\[\]]{0,256}+:)(?!\$?\{)[^\s/@?#\"'<>\\]{1,1024}+(?=@)")
"""A password in a URL; one in braces is the name of a variable."""


def _cues(*, any_case: bool) -> list[str]:
    return [
        cue
        for cues, shape, _ in _SHAPES
        if bool(shape.flags & re.IGNORECASE) is any_case
        for cue in cues
    ]


_GATE = Gate((private_keys.CUE, *_cues(any_case=False)), _cues(any_case=True))


class Redaction:
    """Replaces secrets in texts and in JSON, in time that is linear in their length but for `extra`."""

    def __init__(self, extra: str = "") -> None:
        """`extra`: further patterns (Python's `re`), one a line. Raises `ValueError` for one that is none."""
        self._extra: list[re.Pattern[str]] = []
        for line in extra.splitlines():
            if line.strip():
                try:
                    self._extra.append(re.compile(line.strip()))
                except re.error as error:
                    raise ValueError(f"{VARIABLE}: {line.strip()!r}: {error}") from error

    def may_change(self, encoded: bytes) -> bool:
        """Whether texts within this JSON may hold a secret. Most don't, and that is quickly seen."""
        return bool(self._extra) or _GATE.opens(encoded) or (b"@" in encoded and b"://" in encoded)

    def text(self, text: str) -> str:
        """The text without secrets."""
        if _GATE.opens(text.encode(errors="replace")):
            if private_keys.CUE in text:
                text = private_keys.hidden(text, MARK)
            for cues, shape, replacement in _SHAPES:
                searched = text.lower() if shape.flags & re.IGNORECASE else text
                if any(map(searched.__contains__, cues)):
                    text = shape.sub(replacement, text)
        if "@" in text and "://" in text:
            text = _URL.sub(rf"\1{MARK}", text)
        for pattern in self._extra:
            text = pattern.sub(MARK, text)
        return text

    def json(self, value: Any) -> Any:
        """JSON whose texts hold no secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.json(each) for each in value]
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.json(each) for name, each in value.items()}
        return value
