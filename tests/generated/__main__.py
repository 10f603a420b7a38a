"""Generates three clients from a running server's description, compiles them, and lets each report a run.

The generators get environments of their own: their dependencies don't fit ours. `make clients` runs this; it
isn't a part of `make test`, because it fetches the generators.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import httpx

from tests.processes import Up

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTHON_GENERATOR = ("openapi-python-client==0.29.1", "mypy")
NPM_GENERATORS = (
    "@hey-api/openapi-ts@0.99.0",
    "@types/node@20.19.43",
    "openapi-fetch@0.17.0",
    "openapi-typescript@7.13.0",
    "typescript@5.9.3",
)
TSCONFIG = {
    "strict": True,
    "noEmitOnError": True,
    "skipLibCheck": True,
    "module": "nodenext",
    "moduleResolution": "nodenext",
    "target": "es2022",
    "lib": ["es2023", "dom", "dom.iterable"],
    "types": ["node"],
    "rootDir": ".",
    "outDir": "built",
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        server = Up.at(place / "server")
        server.directory.mkdir()
        server.start_ready()
        try:
            described = place / "openapi.json"
            described.write_bytes(httpx.get(f"{server.url}/openapi.json", timeout=30).content)
            arguments = (server.url, server.credentials["token"])
            with_python(place / "python", described, arguments)
            with_node(place / "node", described, arguments)
        finally:
            server.stop()


def with_python(place: Path, described: Path, arguments: tuple[str, ...]) -> None:
    """openapi-python-client: every file compiles, mypy finds no fault with the program's use of it."""
    venv.create(place, with_pip=True)
    binary = place / "bin"
    install = (str(binary / "python"), "-m", "pip", "install", "--quiet")
    run(*install, "--disable-pip-version-check", *PYTHON_GENERATOR)
    run(
        *(str(binary / "openapi-python-client"), "generate", "--meta", "none"),
        *("--path", str(described), "--output-path", "runcast_client"),
        cwd=place,
        quiet=True,
    )
    run(str(binary / "python"), "-m", "compileall", "-q", "runcast_client", cwd=place)
    program = shutil.copy(HERE / "programs" / "with_openapi_python_client.py", place)
    run(str(binary / "mypy"), "--follow-imports=silent", str(program), cwd=place)
    run(str(binary / "python"), str(program), *arguments, cwd=place)


def with_node(place: Path, described: Path, arguments: tuple[str, ...]) -> None:
    """openapi-typescript with openapi-fetch, and @hey-api/openapi-ts: strict tsc, then Node."""
    place.mkdir()
    (place / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
    run("npm", "install", "--silent", "--no-audit", "--no-fund", *NPM_GENERATORS, cwd=place)
    (place / "tsconfig.json").write_text(json.dumps({"compilerOptions": TSCONFIG}))
    npx = ("npx", "--no-install")
    run(
        *(*npx, "openapi-typescript", str(described), "-o", "schema.ts"),
        "--default-non-nullable=false",
        cwd=place,
        quiet=True,
    )
    run(*npx, "openapi-ts", "-i", str(described), "-o", "client", cwd=place, quiet=True)
    programs = sorted((HERE / "programs").glob("*.ts"))
    for program in programs:
        shutil.copy(program, place)
    run(*npx, "tsc", "--project", ".", cwd=place)
    for program in programs:
        run("node", f"built/{program.stem}.js", *arguments, cwd=place)


def run(*command: str, cwd: Path = ROOT, quiet: bool = False) -> None:
    """Runs a command with the Node of .venv in front; a failure ends everything."""
    path = os.pathsep.join([str(ROOT / ".venv" / "node" / "bin"), os.environ.get("PATH", "")])
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": path},
        text=True,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout or ''}\n{' '.join(command)} failed with {done.returncode}")


if __name__ == "__main__":
    main()
