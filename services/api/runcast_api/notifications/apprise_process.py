"""The process that sends one message by Apprise: asked on standard input, answering on standard output.

A plugin is whatever its author wrote, for an address that some user chose. So Python's audit events are
watched (PEP 578): connections go to the addresses alone that are looked at here, after any name was
resolved, no program is started, and no file is read or written that doesn't belong to Python, to Apprise or
to TLS.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import sys
from typing import Any

from runcast_api.outgoing import addresses
from runcast_api.outgoing.addresses import Refused

_CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_STARTS = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"}
)
_READABLE = (
    *{os.path.realpath(one) for one in (sys.prefix, sys.base_prefix, *sys.path) if one},
    "/etc/ssl",
    "/etc/pki",
    "/usr/lib/ssl",
    "/usr/share",
    "/etc/mime.types",
    "/dev/null",
    "/dev/urandom",
)


class Watch:
    """Refuses what a plugin has no business with; `refusal` is the first of it."""

    def __init__(self, *, allows_private: bool) -> None:
        self.refusal: str | None = None
        self._allows_private = allows_private

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook. Raises `PermissionError`, which plugins take for a network's."""
        why = None
        if event in _CONNECTS:
            why = self._address(arguments[1])
        elif event in _STARTS:
            why = "it would start a program on the server"
        elif event == "open":
            why = _file(arguments[0])
        if why is not None:
            self.refusal = self.refusal or why
            raise PermissionError(why)

    def _address(self, given: Any) -> str | None:
        if not isinstance(given, tuple):
            return "nothing is sent to a socket of this machine"
        try:
            address = ipaddress.ip_address(str(given[0]).partition("%")[0])
            # What a name means in the server's own network is told to no one.
            addresses.check(address, allows_private=self._allows_private, shown="its server")
        except ValueError:
            return "it would connect to a name that wasn't resolved"
        except Refused as refused:
            return str(refused)
        return None


def _file(given: Any) -> str | None:
    if isinstance(given, int):
        return None
    path = os.path.realpath(os.fsdecode(given))
    is_known = any(path == one or path.startswith(one + os.sep) for one in _READABLE)
    return None if is_known else "it would read or write a file of the server"


def send(asked: dict[str, Any]) -> str | None:
    """Why the message wasn't taken; None where it was."""
    import apprise  # an extra: it may not be there

    logging.disable(logging.CRITICAL)
    watch = Watch(allows_private=asked["allows_private"])
    sys.addaudithook(watch)
    try:
        # One address: `add` of a text would take several, of any scheme.
        plugin = apprise.Apprise.instantiate(asked["url"])
        if plugin is None:
            return watch.refusal or "isn't an address that Apprise understands"
        notifier = apprise.Apprise()
        notifier.add(plugin)
        # What an agent wrote is text, also where the receiver is sent HTML.
        form = apprise.NotifyFormat.TEXT
        if notifier.notify(body=asked["text"], title=asked["title"], body_format=form):
            return None
    except Exception as error:  # a plugin's own
        return watch.refusal or f"the plugin failed: {type(error).__name__}"
    return watch.refusal or "the receiver refused it"


def main() -> None:
    """Answers one question."""
    sys.stdout.write(json.dumps({"error": send(json.load(sys.stdin))}))


if __name__ == "__main__":
    main()
