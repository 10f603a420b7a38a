"""Makes anything acceptable: the one place on the sending side that knows what a server takes.

The SDK, `runcast exec`, the tailer and `runcast sync` pass every value through here before it is
written or sent. What a server would refuse costs a message, or a run's end, so nothing is left to
chance: texts are cut and say how much is missing, numbers are clamped, NUL and lone surrogates are
shown, values that JSON doesn't know become their text, and names that have to be shortened stay apart.

No function here raises for what it is given, whatever its type, and each leaves what is acceptable as
it is: making a value acceptable twice is like doing it once.
"""

import hashlib
import math
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from runcast import contract
from runcast._support import encoding, times

DEPTH = contract.JSON_DEPTH - 16
"""How deep a value may be nested: a message puts a few levels around it."""
JSON_BYTES = 256 * 1024
"""A run's input, metadata or result. Creating a run takes 1 MiB in all."""
PAYLOAD_BYTES = 128 * 1024
"""What goes beside a log line."""
MAX_ALIASES = 16
"""Further names of a run at most, as the server takes them."""
_SHOWN_BYTES = 1_000
_MARK_BYTES = 64
_HASH_DIGITS = 8
_CLOCKS_END = 253_402_300_799.0  # the year 9999
_NUL_SHOWN = "\u2400"
_LEVELS = {
    written: name
    for name in (
        "trace",
        "debug",
        "info",
        "notice",
        "warn",
        "warning",
        "error",
        "critical",
        "fatal",
    )
    for written in (name, name.upper())
}


def text(value: Any, limit_bytes: int = contract.TEXT_BYTES) -> str:
    """Text of at most this many bytes of UTF-8. One that is cut ends in `… [+n bytes]`."""
    if type(value) is str and len(value) <= limit_bytes and value.isascii() and "\0" not in value:
        return value
    whole = printable(value)
    if len(whole) <= limit_bytes // 4:
        return whole
    encoded = whole.encode()
    if len(encoded) <= limit_bytes:
        return whole
    shown = encoded[: limit_bytes - _MARK_BYTES].decode(errors="ignore")
    return f"{shown}… [+{len(encoded) - len(shown.encode())} bytes]"


def printable(value: Any) -> str:
    """The value's text, of any length; NUL becomes U+2400, a lone surrogate U+FFFD."""
    if type(value) is str and value.isascii() and "\0" not in value:
        return value
    whole = value if type(value) is str else encoding.as_text(value)
    if "\0" in whole:
        whole = whole.replace("\0", _NUL_SHOWN)
    return encoding.printable(whole)


def title(value: Any, limit: int = contract.NAME_CHARACTERS) -> str | None:
    """A text that people read: cut to this many characters. None where it says nothing."""
    if value is None:
        return None
    whole = printable(value)
    return (whole if len(whole) <= limit else f"{whole[: limit - 1]}…") or None


def name(value: Any, limit: int = contract.NAME_CHARACTERS) -> str | None:
    """A text that tells things apart (a step, an agent, a source). Two long ones that begin alike stay
    two: what is cut ends in a hash of the whole. None where it says nothing."""
    if value is None:
        return None
    if type(value) is str and 0 < len(value) <= limit and value.isascii() and "\0" not in value:
        return value
    whole = printable(value)
    return (whole if len(whole) <= limit else f"{whole[: limit - 9]}~{_hash(whole)}") or None


def metric(value: Any) -> str:
    """The name of a metric, which holds no comma: that separates names in a query."""
    found = name(value) or "-"
    return found if "," not in found else name(f"{found.replace(',', '_')}~{_hash(found)}") or "-"


def level(value: Any) -> str:
    """A log level, in small letters; `info` where none is given."""
    known = _LEVELS.get(value) if type(value) is str else None
    if known is not None:
        return known
    return (title(value, contract.LEVEL_CHARACTERS) or "info").lower()[: contract.LEVEL_CHARACTERS]


def url(value: Any) -> str | None:
    """A URL that fits; a longer one would lead elsewhere if it were cut, so it is left out."""
    found = None if value is None else printable(value)
    return found if found and len(found) <= contract.URL_CHARACTERS else None


def whole(value: Any, low: int = 0, high: int = contract.LARGEST_NUMBER) -> int | None:
    """A whole number within bounds, rounded and clamped; None for what is no number."""
    try:
        number = float(value)
        if math.isnan(number):
            return None
        return round(min(max(number, low), high))
    except Exception:  # a host's own __float__ may raise anything
        return None


def number(value: Any) -> float | None:
    """A finite number; None for what is none."""
    try:
        found = float(value)
    except Exception:  # likewise
        return None
    return found if math.isfinite(found) else None


def moment(value: Any) -> float:
    """A time as seconds since 1970: of a `datetime`, a number of seconds or an ISO-8601 text. Now for
    anything else, and for what no clock shows (beyond the years 1 to 9999)."""
    if value is None or (type(value) is float and 0 <= value < _CLOCKS_END):
        return times.now().timestamp() if value is None else value
    try:
        if isinstance(value, str):
            value = times.parse(value)
        if isinstance(value, datetime):
            value = value.timestamp()
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            datetime.fromtimestamp(value, UTC)
            return float(value)
    except Exception:  # a host's own datetime may raise anything
        return times.now().timestamp()
    return times.now().timestamp()


def truth(value: Any) -> bool:
    """Whether a value counts as true; False for one that doesn't say."""
    try:
        return bool(value)
    except Exception:  # a host's own __bool__ may raise anything
        return False


def percent(value: Any) -> int | None:
    """0 to 100, or None."""
    return whole(value, 0, 100)


def json(value: Any, limit_bytes: int = JSON_BYTES) -> Any:
    """The value as plain JSON that a server can hold. One that is too large becomes
    `{"cut": true, "bytes": n, "beginning": "…"}`."""
    if value is None or isinstance(value, bool):
        return value
    encoded = encoding.encode(value)
    if encoded.count(b"[") + encoded.count(b"{") > DEPTH:
        encoded = encoding.encode(encoding.plain(value, DEPTH))
    if len(encoded) > limit_bytes:
        beginning = encoded[:_SHOWN_BYTES].decode(errors="ignore")
        return {"cut": True, "bytes": len(encoded), "beginning": beginning}
    return encoding.decode(encoded)


def mapping(value: Any, limit_bytes: int = JSON_BYTES) -> dict[str, Any]:
    """As `json`, always an object: another value stands under `value`."""
    if value is None:
        return {}
    found = json(value, limit_bytes)
    return found if isinstance(found, dict) else {"value": found}


def labels(value: Any) -> dict[str, str]:
    """At most 64 labels. Keys that a label can't have become others that stay apart, as with `key`."""
    if not isinstance(value, Mapping):
        return {}
    found: dict[str, str] = {}
    for key, each in _items(value):
        if each is not None and len(found) < contract.LABELS:
            found[label_key(key)] = name(each, contract.LABEL_CHARACTERS) or ""
    return found


def label_key(value: Any) -> str:
    """The key of a label."""
    given = printable(value)
    if contract.LABEL_KEY.fullmatch(given):
        return given
    return f"{re.sub(r'[^A-Za-z0-9._/-]+', '-', given)[:96]}-{_hash(given)}"


def steps(values: Any) -> list[str]:
    """The names of a run's steps: each once, at most 200; the default ones where there are none."""
    if isinstance(values, str):
        values = [values]
    found = dict.fromkeys(each for each in map(name, _each(values)) if each)
    return list(found)[: contract.STEPS] or list(contract.DEFAULT_STEPS)


def key(value: Any) -> str:
    """A run's key. A text that is none yet becomes one that no other text becomes."""
    given = printable(value)
    if contract.is_key(given) and as_uuid(given) is None:
        return given
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", given).strip("-.")[:96]
    fitting = f"{readable or 'run'}-{_hash(given)}"
    is_fitting = contract.is_key(fitting) and as_uuid(fitting) is None
    return fitting if is_fitting else f"run-{_hash(given)}"


def keys(values: Any) -> list[str]:
    """Further names of a run, at most 16, each as a key."""
    return list(dict.fromkeys(key(value) for value in _each(values)))[:MAX_ALIASES]


def project(value: Any) -> str:
    """A project's slug or id; `default` where nothing is left of the text."""
    given = printable(value).strip()
    if (known := as_uuid(given)) is not None:
        return str(known)
    slug = re.sub(r"[^a-z0-9]+", "-", given.lower()).strip("-")[:63].rstrip("-")
    if contract.SLUG.fullmatch(given):
        return given
    # What is left of a text may look like an id, which would name another project.
    return (slug if as_uuid(slug) is None else f"p-{slug}") or contract.DEFAULT_PROJECT


def event_name(value: Any) -> str:
    """The name of a program's own event, `x:<name>`."""
    given = printable(value).removeprefix("x:")
    if contract.EVENT_NAME.fullmatch(f"x:{given}"):
        return f"x:{given}"
    readable = re.sub(r"[^A-Za-z0-9_.:-]+", "-", given)[:100]
    return f"x:{readable}-{_hash(given)}"


def source(value: Any) -> str:
    """The name of a log, which may name a file. The names of feeds stand for messages, so they are changed;
    a text that is no plain name becomes one that no other text becomes."""
    given = name(value) or "output"
    if given in contract.FEEDS:
        return f"{given}~"
    if contract.source_fault(given) is None:
        return given
    readable = re.sub(r'[\x00-\x1f\x7f/\\<>:"|?*]+', "-", given).strip("-. ")[:96]
    fitting = f"{readable or 'source'}-{_hash(given)}"
    return fitting if contract.source_fault(fitting) is None else f"source-{_hash(given)}"


def reason_code(value: Any) -> str:
    """A code that machines read: letters, digits, `_`, `.`, `:` and `-`."""
    given = printable(value)
    if re.fullmatch(r"[A-Za-z0-9_.:-]{1,100}", given):
        return given
    return f"{re.sub(r'[^A-Za-z0-9_.:-]+', '_', given)[:80]}-{_hash(given)}"


def id_or_note(name_: str, value: Any, notes: dict[str, Any]) -> str | None:
    """The id that a value is; one that is none is kept in `notes` under its name."""
    if value is None:
        return None
    known = as_uuid(value)
    if known is None:
        notes.setdefault(name_, name(value))
        return None
    return str(known)


def as_uuid(value: Any) -> uuid.UUID | None:
    """The id that a value is, or None if it is none."""
    if isinstance(value, uuid.UUID):
        return value
    try:
        return uuid.UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _hash(whole: str) -> str:
    return hashlib.sha256(whole.encode()).hexdigest()[:_HASH_DIGITS]


def _each(values: Any) -> list[Any]:
    try:
        return list(values) if isinstance(values, Iterable) else []
    except Exception:  # a host's own iterator may raise anything
        return []


def _items(value: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    try:
        return list(value.items())
    except Exception:  # likewise
        return []
