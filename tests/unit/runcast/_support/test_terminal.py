"""Output of programs: lines as a terminal would be left with them, and text that can't command one."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast._support.terminal import LineSplitter, escaped, harmless


def split(*portions: bytes) -> list[str]:
    splitter = LineSplitter()
    return [
        *(line for portion in portions for line in splitter.feed(portion)),
        *splitter.finish(),
    ]


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\n\n", ["", ""]),
        (b"no end", ["no end"]),
        (b"", []),
        (b"10%\r20%\r100%\n", ["100%"]),
        (b"\r10%\r20%\r100%\r\nnext\n", ["100%", "next"]),
        (b"10%\r100%", ["100%"]),
        (b"100%\r", ["100%"]),
        (b"gone\r\rlast\n", ["last"]),
        (b"\xff\xfe\n", ["��"]),
        (b"\x1b[31mred\x1b[0m\n", ["\x1b[31mred\x1b[0m"]),
    ],
)
@pytest.mark.parametrize("portion", [1, 2, 100])
def test_a_line_is_its_last_state(output: bytes, lines: list[str], portion: int) -> None:
    portions = [output[at : at + portion] for at in range(0, len(output), portion)]
    assert split(*portions) == lines


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_portions_do_not_matter(output: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cut for cut in cuts if cut <= len(output)), len(output)]
    portions = [output[a:b] for a, b in itertools.pairwise(places)]
    assert split(*portions) == split(output)


@pytest.mark.parametrize("portion", [1, 7, 1_000])
def test_a_line_without_an_end_is_told_in_pieces(portion: int) -> None:
    output = "aé€\n".encode() + "é€".encode() * 100
    splitter = LineSplitter(limit_bytes=32)
    lines = []
    for at in range(0, len(output), portion):
        lines += splitter.feed(output[at : at + portion])
        assert sum(map(len, splitter._partial)) <= 32
    lines += splitter.finish()
    assert lines[0] == "aé€"
    assert "".join(lines[1:]) == "é€" * 100
    assert all(len(line.encode()) <= 32 for line in lines)


@pytest.mark.parametrize("step", [b"%d%%\r", b"\r%d%%", b"\r\x1b[K%d%%"])
def test_a_progress_bar_takes_no_more_memory_than_its_last_state(step: bytes) -> None:
    splitter = LineSplitter()
    for number in range(10_000):
        assert splitter.feed(step % (number % 100)) == []
    assert sum(map(len, splitter._partial)) < 100
    assert len(splitter.feed(b"\n")) == 1


@pytest.mark.parametrize(
    "attack",
    [
        "\x1b]0;title\x07",
        "\x1b]0;title\x1b\\",
        "\x1b]52;c;aGk=\x07",
        "\x1b]unterminated",
        "\x1bP$q\x1b\\",
        "\x1b[2J",
        "\x1b[6n",
        "\x1b[?1049h",
        "\x1b[10;10H",
        "\x1b[1A",
        "\x1bc",
        "\x1b(0",
        "\x9b2J",
        "\x07",
        "\x08",
        "\r",
        "\x00",
        "\x7f",
    ],
)
def test_commands_to_the_terminal_are_left_out(attack: str) -> None:
    assert harmless(f"a{attack}", colours=True).replace("\x1b[0m", "") == "a"
    assert harmless(f"a{attack}", colours=False) == "a"


def test_colours_stay_and_end() -> None:
    assert harmless("\x1b[1;31mred", colours=True) == "\x1b[1;31mred\x1b[0m"
    assert harmless("\x1b[1;31mred\x1b[0m", colours=False) == "red"


def test_ordinary_text_stays() -> None:
    text = "tab\there, Ünïcödé 豆腐 🙂"
    assert harmless(text, colours=False) == text


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF)))
def test_nothing_but_colours_can_begin_with_escape(text: str) -> None:
    assert "\x1b" not in harmless(text, colours=False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pytest -q\n\tand more", "pytest -q\n\tand more"),
        ("echo \x1b]0;x; rm -rf ~ #\x07", "echo <U+001B>]0;x; rm -rf ~ #<U+0007>"),
        ("ls\rrm", "ls<U+000D>rm"),
        ("a\x08b\x9bm", "a<U+0008>b<U+009B>m"),
        ("x\u202ey\u200bz\u3164", "x<U+202E>y<U+200B>z<U+3164>"),
        ("hi\U000e0072\U000e006d", "hi<U+E0072><U+E006D>"),
        ("Grüße, 漢字 ⚠️", "Grüße, 漢字 ⚠️"),
    ],
)
def test_nothing_of_what_is_decided_about_is_hidden(text: str, shown: str) -> None:
    assert escaped(text) == shown
