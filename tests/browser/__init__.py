"""The Chromium that browser tests drive, where there is one."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """The program that `RUNCAST_CHROMIUM` names, or one of the usual names on the path."""
    named = os.environ.get("RUNCAST_CHROMIUM")
    return named or next((found for found in map(shutil.which, NAMES) if found), None)
