"""A network of its own for a client, whose packets can then really be dropped.

A network namespace, tied to this one by a pair of virtual cables: taking the cable's far end down loses all
that either side sends, and tells neither. It needs root and `ip`, and nothing of it touches the machine's
own network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Namespace:
    """Somewhere else. From there this machine is `here`."""

    name: str
    here: str

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command that runs in there."""
        return ["ip", "netns", "exec", self.name, *arguments]

    def drop_everything(self) -> None:
        """From now on packets are lost, both ways."""
        _ip("-n", self.name, "link", "set", "far", "down")


@contextlib.contextmanager
def made() -> Iterator[Namespace]:
    """A namespace for the length of the block. Raises `subprocess.CalledProcessError`, `OSError`."""
    number = os.getpid() % 16_384
    # 198.18.0.0/15 is for tests of networks (RFC 2544).
    network = f"198.{18 + number // 8192}.{number // 64 % 128}"
    name, near, last = f"runcast-{number}", f"rc{number}", number % 64 * 4
    _ip("netns", "add", name)
    try:
        _ip("link", "add", near, "type", "veth", "peer", "name", "far", "netns", name)
        _ip("addr", "add", f"{network}.{last + 1}/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", name, "addr", "add", f"{network}.{last + 2}/30", "dev", "far")
        _ip("-n", name, "link", "set", "far", "up")
        yield Namespace(name, f"{network}.{last + 1}")
    finally:
        _ip("netns", "del", name)


def can_be_made() -> bool:
    """Whether this machine and this user may."""
    if shutil.which("ip") is None:
        return False
    try:
        with made():
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
