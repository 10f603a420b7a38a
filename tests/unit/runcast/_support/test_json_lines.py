"""Lines of JSON as text."""

import pytest

from runcast._support import json_lines


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            '{"level":30,"time":1769853605123,"pid":7,"msg":"it listens","to":"a b"}',
            'it listens pid=7 to="a b"',
        ),
        ('{"event":"started","severity":"INFO","extra":{"a":[1]}}', 'started extra={"a":[1]}'),
        ('{"message":"","ts":"x"}', ""),
        ("words", "words"),
        ("{", "{"),
        ("{}", "{}"),
        ('{"msg":5}', '{"msg":5}'),
        ("", ""),
    ],
)
def test_the_message_comes_first(line: str, text: str) -> None:
    assert json_lines.as_text(line) == text


def test_a_huge_line_is_left_alone() -> None:
    line = f'{{"msg":"{"x" * 70_000}"}}'
    assert json_lines.as_text(line) is line
