"""Questions as agents ask them: whatever they write is asked, or refused in words."""

import pytest
from mcp.server.mcpserver.exceptions import ToolError

from runcast.mcp import questions
from runcast_api.questions.schemas import QuestionNew


def test_odd_options_are_asked_all_the_same() -> None:
    long = "a" * 70
    asked = questions.question(
        "Which?\0", ["", "yes", "yes", f"{long}1", f"{long}2", "nul\0", "b" * 3_000], "why\0"
    )
    QuestionNew.model_validate(asked)
    labels = [option["label"] for option in asked["options"]]
    assert labels[:4] == ["yes", f"{long}1", f"{long}2", "nul␀"]
    assert len(labels) == 5


@pytest.mark.parametrize("options", [None, [], ["", ""]])
def test_a_question_without_choices_wants_a_text(options: list[str] | None) -> None:
    asked = questions.question("", options, None)
    assert QuestionNew.model_validate(asked).kind == "text"


def test_what_is_too_long_is_refused_by_the_names_that_the_agent_knows() -> None:
    whole = questions.question("q" * 1_000, None, "c")
    assert whole["body"] == f"{'q' * 1_000}\n\nc"
    with pytest.raises(ToolError, match="context"):
        questions.question("q", None, "c" * 300_000)
