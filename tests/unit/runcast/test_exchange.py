"""Which calls are sent again, when, and what comes of them: no socket, no clock."""

import json
import logging
from typing import Any

import httpx
import pytest

from runcast import Client, errors
from runcast.client import admin, people, runs
from runcast.client.calls import Call, following
from runcast.client.exchange import Outcome, Patience, exchange


def play(call: Call[Any], *outcomes: Outcome, **patience: Any) -> tuple[Any, list[Any]]:
    """The result, and the steps that led to it: requests and seconds."""
    client = httpx.Client(base_url="http://server")
    steps = exchange(call, client.build_request, Patience(**patience))
    taken = [steps.send(None)]
    rest = list(outcomes)
    try:
        while True:
            given = rest.pop(0) if isinstance(taken[-1], httpx.Request) else None
            taken.append(steps.send(given))
    except StopIteration as stop:
        return stop.value, taken
    finally:
        client.close()


def answer(status: int = 200, body: Any = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=body, headers=named)


LOST = httpx.ConnectError("refused")


def test_an_answer_is_the_result() -> None:
    result, [request] = play(runs.get_run("r", project="demo"), answer(body={"id": "1"}))
    assert result == {"id": "1"}
    assert str(request.url) == "http://server/runs/r?project=demo"


def test_no_content_is_none() -> None:
    assert play(people.logout(), httpx.Response(204))[0] is None


def test_a_read_is_repeated_after_a_wait() -> None:
    result, taken = play(runs.get_run("r"), LOST, answer(503), answer(body=1))
    assert result == 1
    assert [isinstance(step, float) for step in taken] == [False, True, False, True, False]


def test_a_post_is_repeated_under_one_key() -> None:
    _, taken = play(runs.create_run("demo"), LOST, answer(body={}))
    first, _, second = taken
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


def test_a_patch_may_have_happened_so_it_is_not_repeated() -> None:
    with pytest.raises(errors.Unreachable):
        play(runs.update_run("r", status="running"), LOST)


def test_a_patch_that_was_refused_for_now_is_repeated() -> None:
    assert play(runs.update_run("r"), answer(503), answer(body=1))[0] == 1


def test_the_server_says_how_long_to_wait() -> None:
    _, taken = play(runs.get_run("r"), answer(429, Retry_After="7"), answer())
    assert 7 <= taken[1] <= 8


def test_patience_ends() -> None:
    with pytest.raises(errors.Unavailable):
        play(runs.get_run("r"), answer(503), answer(503), attempts=2)
    with pytest.raises(errors.TooMany) as told:
        play(runs.get_run("r"), answer(429, Retry_After="100"))
    assert told.value.retry_after_seconds == 100


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.ApiError),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (413, errors.TooLarge),
        (422, errors.Invalid),
    ],
)
def test_a_problem_is_its_error_at_once(status: int, kind: type[errors.ApiError]) -> None:
    problem = {
        "type": "/problems/x",
        "title": "No",
        "status": status,
        "detail": "because",
        "errors": [{"field": "a"}],
    }
    with pytest.raises(kind) as told:
        play(runs.get_run("r"), answer(status, problem))
    assert type(told.value) is kind
    assert (told.value.status, told.value.title, told.value.detail) == (status, "No", "because")
    assert (told.value.type, told.value.errors) == ("/problems/x", [{"field": "a"}])


def test_a_proxys_page_is_an_error_too() -> None:
    with pytest.raises(errors.ApiError, match="Bad Gateway"):
        play(runs.get_run("r"), httpx.Response(502, text="<html>"), attempts=1)


def test_an_answer_that_is_not_json_is_told() -> None:
    with pytest.raises(errors.RuncastError, match="not JSON"):
        play(runs.get_run("r"), httpx.Response(200, text="<html>"))


def test_parts_of_a_path_are_one_segment_each() -> None:
    _, [request] = play(runs.get_run("../a b/c?d#e"), answer())
    assert request.url.raw_path == b"/runs/..%2Fa%20b%2Fc%3Fd%23e"


def test_lists_and_truth_become_text() -> None:
    call = runs.event_history("demo", after=5, types=["a", "b"])
    assert play(call, answer())[1][0].url.query == b"after=5&types=a%2Cb"
    assert play(admin.runtime_tasks(stuck=True), answer())[1][0].url.query == b"stuck=true"


def test_null_stays_in_a_body_where_it_means_something() -> None:
    _, [request] = play(runs.update_run("r", pr_url=None), answer())
    assert json.loads(request.content) == {"pr_url": None}


def test_the_host_programs_log_tells_of_its_own_requests_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={})

    caplog.set_level(logging.DEBUG)
    transport = httpx.MockTransport(answer)
    with Client("http://server", "x", transport=transport) as ours:
        ours.me()
    assert caplog.text == ""
    with httpx.Client(transport=transport) as theirs:
        theirs.get("http://elsewhere/")
    assert "http://elsewhere/" in caplog.text


def test_an_empty_page_that_names_where_to_go_on_is_not_the_last() -> None:
    call: Call[Any] = Call("GET", "/projects/p/events", {"after": 5})
    empty = {"events": [], "floor": 0, "next_after": 90, "next_before": None}
    coming = following(call, empty)
    assert coming is not None
    assert coming.params["after"] == 90
    assert following(coming, empty) is None  # it would ask for the same page for ever
    assert following(call, empty | {"next_after": None}) is None
