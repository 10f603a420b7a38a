"""The Helm chart as Helm renders it, over each set of values in its `ci`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.deployment

CHART = Path(__file__).parents[2] / "deploy/helm/runcast"
VALUES = sorted((CHART / "ci").iterdir())


def rendered(values: Path) -> list[dict[str, Any]]:
    command = ["helm", "template", "runcast", str(CHART), "--values", str(values)]
    command += ["--kube-version", "1.31"]  # one that was built by `go install` assumes 1.20
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pods' specifications, by what they are."""
    return {
        each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"][
            "template"
        ]["spec"]
        for each in objects
        if each["kind"] in ("Deployment", "Job")
    }


def environment(objects: list[dict[str, Any]], pod: dict[str, Any]) -> dict[str, str]:
    """What the first container finds, but for secrets that the chart doesn't make."""
    made = {
        (each["kind"], each["metadata"]["name"]): each.get("data") or each.get("stringData") or {}
        for each in objects
        if each["kind"] in ("ConfigMap", "Secret")
    }
    found: dict[str, str] = {}
    [container] = pod["containers"]
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            found |= made["ConfigMap", source["configMapRef"]["name"]]
        else:
            found |= made.get(("Secret", source["secretRef"]["name"]), {})
    return found | {one["name"]: one["value"] for one in container.get("env", ())}


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_helm_finds_nothing_wrong(values: Path) -> None:
    command = ["helm", "lint", "--strict", str(CHART), "--values", str(values)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_each_object_is_what_kubernetes_knows(values: Path, tmp_path: Path) -> None:
    """The Prometheus operator's objects aren't Kubernetes's own."""
    own = [each for each in rendered(values) if "monitoring.coreos.com" not in each["apiVersion"]]
    shown = tmp_path / "objects.yaml"
    shown.write_text(yaml.safe_dump_all(own))
    command = [Path(sys.executable).parent / "kubernetes-validate", "-k", "1.31", "--strict", shown]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_pods_get_their_settings_and_no_rights_to_spare(values: Path) -> None:
    objects, given = rendered(values), yaml.safe_load(values.read_text())
    for name, pod in pods(objects).items():
        found = environment(objects, pod)
        if name != "gateway":
            for setting, value in given.get("settings", {}).items():
                shown = str(value).lower() if isinstance(value, bool) else str(value)
                assert found[f"RUNCAST_{setting}"] == shown, (name, setting)
            for setting, value in given.get(name, {}).get("settings", {}).items():
                assert found[f"RUNCAST_{setting}"] == str(value), (name, setting)
            for setting, value in given.get("secrets", {}).items():
                assert found[setting] == value, (name, setting)
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        security = pod["containers"][0]["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        if name != "migrate":
            assert pod["terminationGracePeriodSeconds"] == 60
            assert pod["containers"][0]["lifecycle"]["preStop"]


def test_selectors_find_their_pods() -> None:
    for values in VALUES:
        objects = rendered(values)
        labels = [
            each["spec"]["template"]["metadata"]["labels"]
            for each in objects
            if each["kind"] == "Deployment"
        ]
        for each in objects:
            if each["kind"] in ("Service", "PodDisruptionBudget"):
                wanted = each["spec"]["selector"]
                wanted = wanted.get("matchLabels", wanted)
                assert any(wanted.items() <= one.items() for one in labels), each["metadata"][
                    "name"
                ]
