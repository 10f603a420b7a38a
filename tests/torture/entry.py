"""Starts one service of the product: `python -m tests.torture.entry hub`.

As `runcast hub` does, and with what a test asks for in the environment beside it: a sabotage
(`TORTURE_SABOTAGE`, see `sabotage`), which the product itself knows nothing about.
"""

import os
import sys

from runcast_server.process.launch import launch
from tests.torture import sabotage

if __name__ == "__main__":
    if kind := os.environ.pop("TORTURE_SABOTAGE", ""):
        sabotage.apply(kind)
    sys.exit(launch(sys.argv[1], {}))
