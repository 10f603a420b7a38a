"""Apprise: text by any of its services, from a process that reaches nothing else of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from runcast_api.notifications import apprise, deciding
from runcast_api.notifications.apprise import Apprise
from runcast_api.notifications.messages import Message
from runcast_server.fair_turns import FairTurns
from tests.integration.notified import SETTINGS, Ntfy, notifier, ntfy, set_up, tell
from tests.integration.rest import Rest, serving
from tests.integration.test_questions import ask, person, reply

pytestmark = pytest.mark.anyio

MESSAGE = Message("t", "Permission: Bash", "login in demo", "https://runs.example.org/ui/runs/1")


@pytest.fixture
async def chat() -> AsyncIterator[Ntfy]:
    """A receiver of Apprise's own JSON, which stands for all its services."""
    async with ntfy() as chat:
        yield chat


async def test_a_question_is_told_as_text_with_a_link_and_never_again(
    database_url: str, redis_url: str, tmp_path: Path, chat: Ntfy
) -> None:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        ana = await person(rest, "ana", "editor")
        target = {"id": "team", "kind": "apprise", "url": f"json://{chat.host}/secret-path"}
        shown = await set_up(rest, ana, target)
        assert "secret-path" not in str(shown)
        assert shown["targets"][0]["name"] == "json"
        run = await rest.run(status="running", name="login")
        question = await ask(rest, run)
        await tell(rest)
        [got] = chat.receiver.got
        told = orjson.loads(got.body)
        assert told["title"] == "Permission: Bash"
        assert told["message"].startswith("login in demo\n")
        assert told["message"].endswith(f"/ui/runs/{run}")
        assert "/a/ra_" not in told["message"]
        await reply(rest, question, option="allow")
        await tell(rest)
        assert len(chat.receiver.got) == 1, "what is closed can't be replaced, and isn't told again"
        await refused_settings(rest, ana)
        await notifier(rest).stop()
        notifier(rest).channels.sender.close()


async def test_targets_that_hang_keep_no_healthy_one_waiting(
    chat: Ntfy, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = timedelta(seconds=apprise.TURN_SECONDS + apprise.ATTEMPT_SECONDS)
    assert waited < deciding.LEASE
    monkeypatch.setattr(apprise, "TURN_SECONDS", 0.0)
    sender = Apprise(_turns={False: FairTurns(1), True: FairTurns(0)})
    url = f"json://{chat.host}/"
    late = await sender.send("ana", url, MESSAGE, allows_private=True, is_failing=True)
    assert late.error == "no turn came in time"
    sent = await sender.send("ben", url, MESSAGE, allows_private=True)
    assert sent.error is None


async def refused_settings(rest: Rest, headers: dict[str, str]) -> None:
    for url in ("syslog://", "dbus://x", "macosx://_", "no address", "json://h, syslog://"):
        target = {"id": "team", "kind": "apprise", "url": url}
        refused = await rest.admin.put(
            SETTINGS, json={"rules": [], "targets": [target]}, headers=headers
        )
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "body.targets.0.url"


async def test_a_plugin_reaches_nothing_of_the_server(chat: Ntfy, tmp_path: Path) -> None:
    sender = Apprise()

    async def error(url: str, *, allows_private: bool = False) -> Any:
        return (await sender.send("ana", url, MESSAGE, allows_private=allows_private)).error

    assert await error(f"json://{chat.host}/", allows_private=True) is None
    refused = await error(f"json://{chat.host}/")
    assert "private address" in refused
    assert "127.0.0.1" not in refused, "what a name means in the server's network is told to no one"
    assert "no address that anything is sent to" in await error(
        "json://169.254.169.254/latest", allows_private=True
    )
    assert len(chat.receiver.got) == 1, "what was refused never arrived"
    # What an agent wrote is text, also where a receiver is sent HTML.
    text = Message("t", "T", "<a href='https://evil'>ok</a>", "https://runs.example.org/")
    html = f"json://{chat.host}/?format=html"
    await sender.send("ana", html, text, allows_private=True)
    assert "&lt;a" in orjson.loads(chat.receiver.got.pop().body)["message"]
    # A redirect leads to an address that is looked at, too.
    chat.receiver.always, chat.receiver.location = 307, "http://169.254.169.254/latest"
    assert await error(f"json://{chat.host}/", allows_private=True) is not None
    key = tmp_path / "key.json"
    key.write_text('{"type": "service_account", "project_id": "p"}')
    read = await error(f"fcm://project/device/?keyfile={key}", allows_private=True)
    assert read is not None
    # Several in one text are none: each would go by its own scheme.
    assert await error(f"json://{chat.host}/, syslog://_", allows_private=True) is not None
    assert await error("nonsense://x") == "isn't an address that Apprise understands"
