"""Answers that are put between an editor's messages to its agent: nothing else of what passes is changed."""

import os

import orjson
from hypothesis import given, settings, strategies

from runcast.agents.acp import Permission, permission_response
from runcast.cli.acp_answers import DECISION_BYTES, Answering

REQUESTS = 4
OURS, THEIRS = "ours", "theirs"
CALL = Permission("session", "call")


def response(request: int) -> bytes:
    return orjson.dumps(permission_response(request, THEIRS)) + b"\n"


def refusal(request: int) -> bytes:
    body = {"jsonrpc": "2.0", "id": request, "error": {"code": -32603, "message": "closed"}}
    return orjson.dumps(body) + b"\n"


OTHERS = strategies.sampled_from(
    [
        b'{"jsonrpc":"2.0","id":1,"method":"session/prompt","params":{"result":1}}\n',
        b'{"jsonrpc":"2.0","method":"session/cancel","params":{}}\n',
        b'{"text":"' + b"x" * (2 * DECISION_BYTES) + b'"}\n',
        b"no message at all: \xff\x00\r\n",
        b"\n",
    ]
)


@settings(max_examples=40)
@given(
    strategies.lists(OTHERS, max_size=4),
    strategies.permutations(range(REQUESTS)),
    strategies.lists(strategies.tuples(strategies.integers(1, 90_000), strategies.integers(0, 7))),
    strategies.booleans(),
)
def test_each_request_has_one_response_and_all_else_passes_whole(
    others: list[bytes], order: list[int], steps: list[tuple[int, int]], refuses: bool
) -> None:
    """The editor answers each request, and other people answer some of them, at any moment."""
    late = [(refusal if refuses else response)(request) for request in order]
    said = [line for pair in zip(others + [b"\n"] * 4, late, strict=False) for line in pair]
    passed = _passed(b"".join(said), steps)
    for request in range(REQUESTS):
        answers = [line for line in passed if line in _responses(request)]
        assert len(answers) == 1
    rest = [line for line in passed if not any(line in _responses(n) for n in range(REQUESTS))]
    assert rest == [line for line in said if line not in late]


def _responses(request: int) -> list[bytes]:
    ours = orjson.dumps(permission_response(request, OURS)) + b"\n"
    return [ours, response(request), refusal(request)]


def _passed(said: bytes, steps: list[tuple[int, int]]) -> list[bytes]:
    """The lines that the agent gets where the editor writes this many bytes at a time, and after each of them
    someone answers the request with this number, if there is one."""
    editor, inlet = os.pipe()[::-1]
    target = os.open(os.devnull, os.O_WRONLY)
    heard: list[bytes] = []
    left = set(range(REQUESTS))
    flow = Answering(inlet, target, heard.append)
    try:
        for size, request in [*steps, (len(said), REQUESTS)]:
            while piece := said[: min(size, 60_000)]:
                os.write(editor, piece)
                flow.read()
                said = said[len(piece) :]
                size -= len(piece)
            if request in left:
                left.remove(request)
                flow.answer(permission_response(request, OURS), CALL)
    finally:
        os.close(editor)
        os.close(target)
        flow.close()
    return b"".join(heard).splitlines(keepends=True)


def test_an_editor_that_answers_the_same_number_again_is_heard_again() -> None:
    """Some agents count their requests from the beginning for each session."""
    assert _passed(response(1) * 2, []) == [response(1)] * 2


def test_an_answer_is_for_the_call_that_was_asked_about() -> None:
    """The agent has gone on by the time that the answer comes, and asks for something else."""
    inlet, editor = os.pipe()
    target = os.open(os.devnull, os.O_WRONLY)
    heard: list[bytes] = []
    flow = Answering(inlet, target, heard.append)
    flow.asked(1, CALL)
    os.write(editor, response(1))
    flow.read()
    flow.asked(1, Permission("session", "another call"))
    flow.answer(permission_response(1, OURS), CALL)
    assert heard == [response(1)]
    flow.close()
    os.close(editor)
    os.close(target)
