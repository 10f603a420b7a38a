"""The Helm chart, as far as it can be judged without Helm: settings, values, and what it shares with others.

`make test-deployment` renders it, where Helm is installed.
"""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from runcast_server import settings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/runcast"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
TEMPLATES = {path.name: path.read_text() for path in (CHART / "templates").iterdir()}

NAMES = {name.removeprefix(settings.PREFIX) for name in settings.names()}
# What the chart sets by itself.
FIXED = {"HOST", "PORT", "DATA", "RUNS_DIR", "WORKERS", "SHUTDOWN_GRACE_S"}


def test_every_setting_reaches_a_pod() -> None:
    """By name in `settings`, or in a secret, or set by the chart; a name that no setting has is refused."""
    plain = set(SCHEMA["definitions"]["settings"]["properties"])
    secret = {
        name.removeprefix(settings.PREFIX) for name in SCHEMA["properties"]["secrets"]["properties"]
    }
    assert plain | secret | FIXED == NAMES
    assert not plain & secret
    assert all(name.endswith(("URL", "SECRET", "HEADERS")) for name in secret), (
        "passwords stand in secrets"
    )
    environment = TEMPLATES["_helpers.tpl"]
    for name in FIXED:
        assert f"RUNCAST_{name}," in environment
    for text in (TEMPLATES["settings.yaml"], TEMPLATES["migrate.yaml"]):
        assert re.search(r"range \$name, \$value := \.Values\.settings \}\}\n +RUNCAST_", text)
    assert "range $name, $value := .own.settings" in environment
    assert 'include "runcast.environment"' in TEMPLATES["services.yaml"]


@pytest.mark.parametrize(
    "path", [CHART / "values.yaml", *sorted((CHART / "ci").iterdir())], ids=lambda path: path.name
)
def test_values_are_what_the_schema_allows(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text()), SCHEMA)


@pytest.mark.parametrize(
    "values",
    [
        {"settings": {"PUBLIC_ULR": "https://runs.example.org"}},
        {"hub": {"replica": 2}},
        {"settings": {"JWT_SECRET": "a password in plain sight"}},
        {"api": {"workers": 0}},
    ],
)
def test_values_that_would_do_nothing_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, SCHEMA)


def test_values_that_templates_read_exist() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for name, text in TEMPLATES.items():
        for path in re.findall(r"\$?\.Values((?:\.\w+)+)", text):
            found = values
            for step in path.split(".")[1:]:
                assert step in found, f"{name}: .Values{path}"
                found = found[step]


def test_the_gateway_and_the_alerts_are_those_of_everybody_else() -> None:
    for mine, other in (
        ("Caddyfile", "deploy/Caddyfile"),
        ("rules.yml", "deploy/prometheus/rules.yml"),
    ):
        assert (CHART / "files" / mine).read_text() == (ROOT / other).read_text()


def test_services_and_units_start_what_there_is() -> None:
    """Each systemd unit, too, runs a command of ours, ends in order, and may do little else."""
    for path in sorted((ROOT / "deploy/systemd").iterdir()):
        unit = path.read_text()
        command = re.search(r"^ExecStart=/opt/runcast/bin/runcast (\w+)$", unit, re.MULTILINE)
        assert command, path.name
        assert command[1] in ("up", "api", "hub", "tailer", "migrate")
        for line in ("User=runcast", "NoNewPrivileges=true", "ProtectSystem=strict"):
            assert f"\n{line}\n" in unit, path.name
        if command[1] != "migrate":
            assert "\nLimitNOFILE=1048576\n" in unit
            assert "\nKillMode=mixed\n" in unit, "the main process ends its workers and servers"
        for name in re.findall(r"RUNCAST_([A-Z_]+)=", unit):
            assert name in NAMES, path.name
