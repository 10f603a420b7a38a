"""Prints what Runcast with the named extras depends on, read from pyproject.toml, for a layer of its own."""

import sys
import tomllib
from pathlib import Path


def main(extras: list[str]) -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in extras:
        needed = project["optional-dependencies"][extra]
        wanted += [each for each in needed if not each.startswith("runcast[")]
    sys.stdout.write("".join(f"{each}\n" for each in wanted))


if __name__ == "__main__":
    main(sys.argv[1:])
