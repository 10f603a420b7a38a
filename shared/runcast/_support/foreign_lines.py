"""What lines of other programs say about themselves: syslog, nginx, Apache, klog, logfmt."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo

from runcast._support import times
from runcast._support.said import CLOCK_SLACK, LEVELS, Said

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = "|".join(_MONTHS)
_SEVERITIES = (*["critical"] * 3, "error", "warning", "info", "info", "debug")
"""Of syslog (RFC 5424, 6.2.1), by number."""
_LETTERS = {"I": "info", "W": "warning", "E": "error", "F": "critical"}

_SYSLOG = re.compile(
    r"(?:<(?P<pri>\d{1,3})>)?(?:\d )?"
    rf"(?:(?P<month>{_MONTH}) {{1,2}}(?P<day>\d{{1,2}}) (?P<clock>\d\d:\d\d:\d\d)"
    r"|(?P<iso>\d{4}-\d\d-\d\dT\S{8,40}))\s"
)
_NGINX = re.compile(r"(\d{4})/(\d\d)/(\d\d) (\d\d:\d\d:\d\d) \[([a-z]{3,8})\]")
_ACCESS = re.compile(
    rf"\S{{2,45}} \S{{1,100}} \S{{1,100}} \[(\d\d)/({_MONTH})/(\d{{4}}):(\d\d:\d\d:\d\d) ([+-]\d{{4}})\]"
)
_KLOG = re.compile(r"([IWEF])(\d\d)(\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,6})?)\s")
_LOGFMT = re.compile(r"(?:time|ts|level|lvl)=")
_PAIR = re.compile(r'(?:^|\s)(time|ts|level|lvl)=("[^"]{0,64}"|\S{0,64})')


def read(text: str, at: datetime) -> Said | None:
    """What the line says, None where it is of none of these kinds. `at` gives the year and the offset of
    a time without one."""
    readers: tuple[Callable[[str, datetime], Said | None], ...] = ()
    match text[0]:
        case "t" | "l":
            readers = (_logfmt,)
        case "<" | "J" | "M" | "A" | "S" | "O" | "N" | "D":
            readers = (_syslog,)
        case "I" | "W" | "E":
            readers = (_klog,)
        case "F":
            readers = (_syslog, _klog)
        case _ if text[0].isdecimal():
            readers = (_nginx, _access)
    try:
        return next((said for reader in readers if (said := reader(text, at)) is not None), None)
    except (ValueError, OverflowError):
        return None  # the 31st of February


def _syslog(text: str, at: datetime) -> Said | None:
    found = _SYSLOG.match(text)
    if found is None:
        return None
    pri, month, day, clock, iso = found.group("pri", "month", "day", "clock", "iso")
    level = _SEVERITIES[int(pri) % 8] if pri else None
    if iso:
        moment = datetime.fromisoformat(iso)
        return Said(times.to_milliseconds(_placed(moment, at.tzinfo)), level)
    return Said(_in_year(at, _MONTHS.index(month) + 1, int(day), clock), level)


def _nginx(text: str, at: datetime) -> Said | None:
    found = _NGINX.match(text)
    if found is None:
        return None
    year, month, day, clock, name = found.groups()
    moment = datetime.fromisoformat(f"{year}-{month}-{day}T{clock}")
    return Said(times.to_milliseconds(_placed(moment, at.tzinfo)), LEVELS.get(name))


def _access(text: str, _: datetime) -> Said | None:
    found = _ACCESS.match(text)
    if found is None:
        return None
    day, month, year, clock, offset = found.groups()
    number = _MONTHS.index(month) + 1
    moment = datetime.fromisoformat(f"{year}-{number:02}-{day}T{clock}{offset}")
    return Said(times.to_milliseconds(moment))


def _klog(text: str, at: datetime) -> Said | None:
    found = _KLOG.match(text)
    if found is None:
        return None
    letter, month, day, clock = found.groups()
    return Said(_in_year(at, int(month), int(day), clock), _LETTERS[letter])


def _logfmt(text: str, at: datetime) -> Said | None:
    if _LOGFMT.match(text) is None:
        return None
    pairs = {name: value.strip('"') for name, value in _PAIR.findall(text[:1_000])}
    time, level = pairs.get("time") or pairs.get("ts"), pairs.get("level") or pairs.get("lvl")
    ts = None
    if time and time[4:5] == "-":
        ts = times.to_milliseconds(_placed(datetime.fromisoformat(time), at.tzinfo))
    return Said(ts, LEVELS.get(level.lower()) if level else None)


def _in_year(at: datetime, month: int, day: int, clock: str) -> str:
    """A time without a year: the file's, or the one before where that would be in the future."""
    text = f"{month:02}-{day:02}T{clock}"
    moment = _placed(datetime.fromisoformat(f"{at.year}-{text}"), at.tzinfo)
    if moment > at + CLOCK_SLACK + timedelta(days=1):
        moment = _placed(datetime.fromisoformat(f"{at.year - 1}-{text}"), at.tzinfo)
    return times.to_milliseconds(moment)


def _placed(moment: datetime, zone: tzinfo | None) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
