"""Builds everything that a release ships into dist/, and checks it by installing it into empty environments.

python -m tools.dist                 wheel, sdist, npm packages, SBOMs, checksums
python -m tools.dist --check         install them with each Python that is here, and npm
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools import release

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")
NPM_PACKAGES = ("shared/runcast-js/client", "shared/runcast-js/react")
_TRY = """
import importlib.metadata, runcast, runcast_server.settings, runcast_api, runcast_hub, runcast_tailer
from importlib.resources import files
assert (files("runcast_api") / "reference" / "common.toml").is_file(), "the texts of the API reference"
assert any((files("runcast_server") / "migrations").iterdir()), "the migrations"
assert (files("runcast_api") / "console" / "index.html").is_file(), "the console"
print(importlib.metadata.version("runcast"))
"""
_TRY_NPM = (
    "import('@runcast/client').then(m => { if (!m.RuncastClient) throw new Error(Object.keys(m)) })"
)


def build() -> None:
    """Wheel and sdist by hatchling, npm packages by `npm pack`, SBOMs by CycloneDX."""
    DIST.mkdir(exist_ok=True)
    for old in list(_files()):
        old.unlink()
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(DIST), str(ROOT))
    run("npm", "run", "--silent", "build:packages")
    for package in NPM_PACKAGES:
        run("npm", "pack", "--silent", "--pack-destination", str(DIST), cwd=ROOT / package)
    python_sbom()
    npm_sbom()
    sums = "".join(f"{_sha256(path)}  {path.name}\n" for path in sorted(_files()))
    (DIST / "SHA256SUMS").write_text(sums)


def python_sbom() -> None:
    """What an environment holds into which nothing but the wheel with its servers was installed."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "installed"
        _install(sys.executable, f"{next(DIST.glob('*.whl'))}[server]", place)
        run(
            *(sys.executable, "-m", "cyclonedx_py", "environment", str(place / "bin" / "python")),
            *("--pyproject", str(ROOT / "pyproject.toml"), "--of", "JSON"),
            *("-o", str(DIST / "runcast-python.cdx.json")),
        )


def npm_sbom() -> None:
    """The same for the console and the JavaScript packages, by npm's own command."""
    made = run(
        *("npm", "sbom", "--sbom-format", "cyclonedx", "--omit", "dev"),
        "--package-lock-only",
        capture=True,
    )
    (DIST / "runcast-npm.cdx.json").write_text(made)


def check() -> None:
    """Installs what was built where nothing else is."""
    wheel, sdist = next(DIST.glob("*.whl")), next(DIST.glob("*.tar.gz"))
    for path in (wheel, sdist):
        names = "\n".join(_names(path))
        assert "console/index.html" in names, f"{path.name} has no console"
        assert "reference/common.toml" in names, f"{path.name} has no texts"
    with tempfile.TemporaryDirectory() as folder:
        for python in filter(_runs, PYTHONS):
            _install(python, f"{wheel}[server]", Path(folder) / python)
        _install(sys.executable, f"{sdist}[server]", Path(folder) / "sdist")
        _install_npm(Path(folder) / "npm")


def _runs(python: str) -> bool:
    """Whether this Python is here; a version manager's stand-in for one that isn't says no."""
    found = shutil.which(python)
    return (
        found is not None and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0
    )


def _install(python: str, what: str, place: Path) -> None:
    run(python, "-m", "venv", str(place))
    binary = place / "bin"
    run(
        *(str(binary / "pip"), "install", "--quiet", "--disable-pip-version-check"),
        *("-c", str(ROOT / "constraints.txt"), what),
    )
    version = run(str(binary / "python"), "-I", "-c", _TRY, cwd=place, capture=True).strip()
    assert version == release.current(), f"{what} says {version}"
    run(str(binary / "runcast"), "--version", cwd=place, capture=True)
    sys.stdout.write(f"{Path(python).name}: {Path(what).name} works\n")


def _install_npm(place: Path) -> None:
    place.mkdir()
    (place / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
    client = next(DIST.glob("runcast-client-*.tgz"))
    run("npm", "install", "--silent", "--no-audit", str(client), cwd=place)
    run("node", "-e", _TRY_NPM, cwd=place)
    sys.stdout.write(f"node: {client.name} works\n")


def _names(path: Path) -> Iterator[str]:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            yield from wheel.namelist()
    else:
        with tarfile.open(path) as sdist:
            yield from sdist.getnames()


def _files() -> Iterator[Path]:
    return filter(Path.is_file, DIST.iterdir())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(*command: str, cwd: Path = ROOT, capture: bool = False) -> str:
    """Runs a command; a failure ends the build with its output. Node comes from .venv, as in the Makefile."""
    node = str(ROOT / ".venv" / "node" / "bin")
    path = os.pathsep.join([node, os.environ.get("PATH", "")])
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": path},
        check=True,
        text=True,
        stdout=subprocess.PIPE if capture else None,
    )
    return done.stdout or ""


def main(arguments: Sequence[str]) -> int:
    if "--check" in arguments:
        check()
    else:
        build()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
