"""The decoder against the cases of launchdarkly/sse-contract-tests and of WPT's eventsource/.

Each case is the bytes of a stream and the frames that must come of it. All of them are fed whole,
byte by byte and in pairs of bytes.
"""

import pytest

from runcast._support.sse import Decoder, Frame


def message(data: str, *, event: str = "message", id: str = "") -> Frame:
    return Frame(event, data, id)


BASIC = {
    "one line": (b"data: Hello\n\n", [message("Hello")]),
    "two messages": (b"data: Hello\n\ndata: World\n\n", [message("Hello"), message("World")]),
    "one message of two lines": (b"data: Hello\ndata:World\n\n", [message("Hello\nWorld")]),
    "empty data": (b"data:\n\n", [message("")]),
    "a type": (b"event: greeting\ndata: Hello\n\n", [message("Hello", event="greeting")]),
    "an empty type is message": (b"event: \ndata: x\n\n", [message("x")]),
    "the last type wins": (b"event: a\nevent: b\ndata: x\n\n", [message("x", event="b")]),
    "a type does not outlive its block": (
        b"event: a\ndata: x\n\ndata: y\n\n",
        [message("x", event="a"), message("y")],
    ),
    "a type without data is dropped": (b"event: a\n\ndata: y\n\n", [message("y")]),
    "an id": (b"id: abc\ndata: Hello\n\n", [message("Hello", id="abc")]),
    "type and id": (
        b"event: greeting\nid: abc\ndata: Hello\n\n",
        [message("Hello", event="greeting", id="abc")],
    ),
    "an id with a null is ignored": (b"id: a\x00bc\ndata: Hello\n\n", [message("Hello")]),
    "an id with a null leaves the last one": (
        b"id: 1\ndata: a\n\nid: 2\x00\ndata: b\n\n",
        [message("a", id="1"), message("b", id="1")],
    ),
    "the last id stays": (
        b"id: abc\ndata: first\n\ndata: second\n\n",
        [message("first", id="abc"), message("second", id="abc")],
    ),
    "an empty id resets": (
        b"id: abc\ndata: first\n\nid: \ndata: second\n\n",
        [message("first", id="abc"), message("second")],
    ),
    "an id without colon resets": (
        b"id: abc\ndata: first\n\nid\ndata: second\n\n",
        [message("first", id="abc"), message("second")],
    ),
    "reverse order": (
        b"data: Hello\nid: abc\nevent: greeting\n\n",
        [message("Hello", event="greeting", id="abc")],
    ),
    "unknown field": (
        b"event: greeting\ncolor: blue\ndata: Hello\n\n",
        [message("Hello", event="greeting")],
    ),
    "field names are case sensitive": (b"Data: a\nDATA: b\ndata: c\n\n", [message("c")]),
    "a space before the name makes another name": (b" data: a\ndata: b\n\n", [message("b")]),
    "no leading space": (
        b"event:greeting\ndata:Hello\n\n",
        [message("Hello", event="greeting")],
    ),
    "only one leading space goes": (
        b"event:  greeting\ndata:  Hello\n\n",
        [message(" Hello", event=" greeting")],
    ),
    "a tab stays": (b"data:\tx\n\n", [message("\tx")]),
    "no colon": (b"data\n\ndata\ndata\n\n", [message(""), message("\n")]),
    "colons in the value": (b"data: a:b: c\n\n", [message("a:b: c")]),
    "multi-byte characters": ("data: €豆腐\n\n".encode(), [message("€豆腐")]),
    "line separators of other kinds stay": (
        "data: a\u2028b\x0bc\x0cd\x85e\n\n".encode(),
        [message("a\u2028b\x0bc\x0cd\x85e")],
    ),
    "invalid UTF-8 becomes U+FFFD": (b"data: ok\xff\xc3\n\n", [message("ok\ufffd\ufffd")]),
    "a null in data stays": (b"data: a\x00b\n\n", [message("a\x00b")]),
    "many at once": (
        b"".join(b"data: message %d\n\n" % n for n in range(100)),
        [message(f"message {n}") for n in range(100)],
    ),
    "data before the final empty line is dropped": (b"data: test1\n\ndata: x", [message("test1")]),
    "a block without its empty line is dropped": (b"data: x\n", []),
    "an event of 100 kB": (b"data: " + b"x" * 100_000 + b"\n\n", [message("x" * 100_000)]),
}
COMMENTS = {
    "before": (b": hi\ndata: x\n\n", [message("x")]),
    "between": (b"data: a\n:\ndata: b\n\n", [message("a\nb")]),
    "alone": (b": hb\n\n: hb\n\ndata: x\n\n", [message("x")]),
    "with a field in it": (b":data: no\ndata: x\n\n", [message("x")]),
    "long": (b":" + b"x" * 5_000 + b"\ndata: x\n\n", [message("x")]),
}
MARKS = {
    "one is dropped": (b"\xef\xbb\xbfdata: 1\n\ndata: 2\n\n", [message("1"), message("2")]),
    "a second one belongs to the field": (
        b"\xef\xbb\xbf\xef\xbb\xbfdata: 1\n\ndata: 2\n\n",
        [message("2")],
    ),
    "one after the start belongs to the field": (
        b"data: 1\n\n\xef\xbb\xbfdata: 2\n\ndata: 3\n\n",
        [message("1"), message("3")],
    ),
    "alone": (b"\xef\xbb\xbf", []),
    "the start of one that is none": (b"\xef\xbbdata: 1\n\ndata: 2\n\n", [message("2")]),
}


def linefeeds(end: bytes) -> dict[str, tuple[bytes, list[Frame]]]:
    return {
        "one line": (b"data: event 1" + end * 2, [message("event 1")]),
        "one line, then two": (
            end.join([b"data: event 1", b"", b"data: 2 line 1", b"data: 2 line 2", b"", b""]),
            [message("event 1"), message("2 line 1\n2 line 2")],
        ),
        "empty first line": (
            end.join([b"data:", b"data: line2", b"data: line3", b"", b""]),
            [message("\nline2\nline3")],
        ),
        "empty middle line": (
            end.join([b"data: line1", b"data:", b"data: line3", b"", b""]),
            [message("line1\n\nline3")],
        ),
        "one extra empty line": (
            end.join([b"data: 1", b"", b"", b"data: 2", b"", b""]),
            [message("1"), message("2")],
        ),
        "two extra empty lines": (
            end.join([b"data: 1", b"", b"", b"", b"data: 2", b"", b""]),
            [message("1"), message("2")],
        ),
    }


CASES = {
    f"{group}: {name}": case
    for group, cases in {
        "basic": BASIC,
        "comments": COMMENTS,
        "byte order mark": MARKS,
        "LF": linefeeds(b"\n"),
        "CRLF": linefeeds(b"\r\n"),
        "CR": linefeeds(b"\r"),
    }.items()
    for name, case in cases.items()
}


@pytest.mark.parametrize("portion", [1, 2, 1_000_000])
@pytest.mark.parametrize(("stream", "frames"), CASES.values(), ids=CASES)
def test_decodes(stream: bytes, frames: list[Frame], portion: int) -> None:
    decoder = Decoder()
    got = [
        frame
        for at in range(0, len(stream), portion)
        for frame in decoder.feed(stream[at : at + portion])
    ]
    assert got == frames


def test_crlf_split_over_portions() -> None:
    decoder = Decoder()
    portions = [b"data: Hello\r", b"\ndata: World\r", b"\n\r\ndata: OK\r", b"\n", b"\r", b"\n"]
    got = [frame for portion in portions for frame in decoder.feed(portion)]
    assert got == [message("Hello\nWorld"), message("OK")]


def test_only_one_lf_belongs_to_a_cr() -> None:
    decoder = Decoder()
    portions = [b"data: x\r", b"\n", b"\n", b"data: y\n\n"]
    got = [frame for portion in portions for frame in decoder.feed(portion)]
    assert got == [message("x"), message("y")]


def test_a_block_that_ends_in_cr_is_dispatched_at_once() -> None:
    assert Decoder().feed(b"data: x\r\r") == [message("x")]


def test_an_empty_portion_changes_nothing() -> None:
    decoder = Decoder()
    decoder.feed(b"data: x\r")
    assert decoder.feed(b"") == []
    assert decoder.feed(b"\n\r\n") == [message("x")]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"retry: 3000", 3_000),
        (b"retry:0", 0),
        (b"retry: 1000x", None),
        (b"retry: -1", None),
        (b"retry: +5", None),
        (b"retry: 1_0", None),
        (b"retry: 1.5", None),
        (b"retry:", None),
        (b"retry: \xd9\xa3", None),
    ],
)
def test_retry_takes_digits_only(field: bytes, expected: int | None) -> None:
    decoder = Decoder()
    decoder.feed(field + b"\n\n")
    assert decoder.retry_ms == expected


def test_a_block_with_only_an_id_moves_the_position_and_dispatches_nothing() -> None:
    decoder = Decoder()
    assert decoder.feed(b": hb\nid: 4711\n\n") == []
    assert decoder.last_event_id == "4711"


def test_an_id_counts_only_once_its_block_has_ended() -> None:
    decoder = Decoder(last_event_id="1")
    decoder.feed(b"id: 2\ndata: x\n")
    assert decoder.last_event_id == "1"
    decoder.feed(b"\n")
    assert decoder.last_event_id == "2"
