"""The Postgres and the Valkey that `runcast up` brings along, as programs out of Python wheels.

Both run beside the server, in sessions of their own, so that Ctrl-C in the terminal reaches only
us and their end stays our decision. They outlive a server that is killed. The next start finds
them by what they keep in the data directory and adopts what still answers; what doesn't is ended
and started again. A caller holds the data directory's lock, so there is only ever one of us.
"""

from runcast_server.embedded.postgres import Postgres
from runcast_server.embedded.program import EmbeddedError
from runcast_server.embedded.valkey import Valkey

__all__ = ["EmbeddedError", "Postgres", "Valkey"]
