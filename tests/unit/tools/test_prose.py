"""The prose lint finds what it should, and leaves code alone."""

from __future__ import annotations

import pytest
from tools import prose


def found(name: str, text: str) -> list[str]:
    return [f"{each.place} {each.text}" for each in prose.look(name, text, prose.rules())]


@pytest.mark.parametrize("sentence", ["Nobody reads it.", "It stands still.", "At most so many."])
def test_a_word_of_the_list_is_found_with_its_line(sentence: str) -> None:
    assert len(found("a.py", f'"""First.\n\n{sentence}\n"""')) == 1
    assert found("a.py", f"\n\n{sentence}")[0].startswith("a.py:3 ")


def test_code_in_markdown_and_ordinary_english_are_left_alone() -> None:
    assert found("a.md", "`chown nobody x`\n\n```sh\nsudo -u nobody sh\n```\n") == []
    assert found("a.md", "There are so many that a list is long. It lies beside the file.") == []


def test_each_rule_says_why_and_what_to_write() -> None:
    for rule in prose.rules():
        assert rule.reason, rule
        assert rule.write, rule
