"""`docs/errors.md` names every problem that a server can answer, with its status, and no other."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import runcast_api
import runcast_hub
import runcast_server
from runcast_server.errors import Problem

PAGE = Path(__file__).parents[3] / "docs" / "errors.md"
ROW = re.compile(r"^\| `([a-z-]+)` \| (\d{3}) \|", re.MULTILINE)


def kinds(base: type[Problem]) -> Iterator[type[Problem]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


def test_every_problem_is_documented() -> None:
    for package in (runcast_server, runcast_api, runcast_hub):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    answered = {(kind.type, kind.status) for kind in kinds(Problem)}
    documented = {(type, int(status)) for type, status in ROW.findall(PAGE.read_text())}
    assert documented == answered
