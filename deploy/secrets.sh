#!/bin/sh
# Makes the passwords of Postgres and Redis at the first start and keeps them in a volume.
# POSTGRES_PASSWORD and REDIS_PASSWORD, from .env, are taken instead if they are there.
# The files named runcast_… are settings, which the servers read from RUNCAST_SECRETS_DIR.
set -eu
cd "${1:-/secrets}"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

test -s postgres_password || printf '%s' "${POSTGRES_PASSWORD:-$(random)}" >postgres_password
test -s redis.conf || printf 'requirepass %s\n' "${REDIS_PASSWORD:-$(random)}" >redis.conf

printf 'postgresql://runcast:%s@postgres:5432/runcast' "$(cat postgres_password)" >runcast_database_url
printf 'redis://:%s@redis:6379/0' "$(sed -n 's/^requirepass //p' redis.conf)" >runcast_redis_url

# Redis reads its file as a user of its own; nothing but our containers mounts this volume.
chmod 644 redis.conf
chmod 600 postgres_password
