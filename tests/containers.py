"""Runs a command with its test servers in containers: `python -m tests.containers pytest …`."""

import os
import subprocess
import sys
from urllib.parse import quote

from testcontainers.community.postgres import PostgresContainer
from testcontainers.community.redis import RedisContainer

POSTGRES = "postgres:17"
REDIS = "redis:8"
PASSWORD = "only-for-tests"


def main(command: list[str]) -> int:
    """Start both, run the command against them, stop them; its exit code."""
    postgres = PostgresContainer(POSTGRES, username="postgres", driver=None)
    postgres.with_command("-c fsync=off -c max_connections=300")
    with postgres, RedisContainer(REDIS, password=PASSWORD) as redis:
        host, port = redis.get_container_host_ip(), redis.get_exposed_port(6379)
        urls = {
            "RUNCAST_TEST_POSTGRES_URL": postgres.get_connection_url(),
            "RUNCAST_TEST_REDIS_URL": f"redis://:{quote(PASSWORD)}@{host}:{port}/0",
        }
        return subprocess.run(command, env=os.environ | urls, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
