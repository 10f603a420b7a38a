"""The real Postgres and Redis that tests run against.

The embedded ones, once per session, unless `RUNCAST_TEST_POSTGRES_URL` and `RUNCAST_TEST_REDIS_URL`
name others. `tests/containers.py` (`make test-containers`) names Postgres 17 and Redis 8 in containers.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runcast_server import embedded

POSTGRES_URL = os.environ.get("RUNCAST_TEST_POSTGRES_URL")
REDIS_URL = os.environ.get("RUNCAST_TEST_REDIS_URL")

# Nothing here must survive a power cut.
FAST_POSTGRES = {"fsync": "off", "full_page_writes": "off", "max_connections": "300"}


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A Postgres with a superuser; yields the URL of its database `postgres`."""
    if POSTGRES_URL:
        yield POSTGRES_URL
        return
    with directory() as data:
        server = embedded.Postgres(data, extra=FAST_POSTGRES)
        server.start()
        try:
            yield server.url_of("postgres")
        finally:
            server.stop(5)


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """A Redis that may be emptied; yields the URL that workers would use."""
    if REDIS_URL:
        yield REDIS_URL
        return
    with directory() as data:
        server = embedded.Valkey(data, extra={"appendfsync": "no"})
        server.start()
        try:
            yield server.port_url
        finally:
            server.stop(5)


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """Short of path, as sockets need it."""
    data = Path(tempfile.mkdtemp(prefix="runcast-test-"))
    try:
        yield data
    finally:
        shutil.rmtree(data, ignore_errors=True)
