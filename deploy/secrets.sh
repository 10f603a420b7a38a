#!/bin/sh
# Makes the passwords of Postgres and Redis at the first start and keeps them in a volume.
# POSTGRES_PASSWORD, and REDIS_PASSWORD for workers, from .env, are taken instead if they are there.
# The files named runcast_… are settings, which each server reads from its own RUNCAST_SECRETS_DIR:
# api, hub and tailer log in to Postgres as one that owns nothing, and to Redis as users that may do
# what their work needs (redis-users.acl). Only `migrate` logs in as the database's owner.
set -eu
given=${2:-}
users=${RUNCAST_REDIS_USERS:-/usr/local/share/runcast/redis-users.acl}
cd "${1:-/secrets}"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
password() { test -s "$1" || printf '%s' "${2:-$(random)}" >"$1"; }
hash() { printf '%s' "$(cat "$1")" | sha256sum | cut -d' ' -f1; }

mkdir -p passwords postgres redis api hub tailer migrate
# Earlier versions kept it here.
test ! -s postgres_password || mv postgres_password postgres/password
password postgres/password "${POSTGRES_PASSWORD:-}"
password passwords/server
password passwords/requests
password passwords/accounts
password passwords/worker "${REDIS_PASSWORD:-}"
for user in api hub tailer health; do password "passwords/$user"; done

# As it stands in a URL: each byte as %XX, unless no character of it needs that. A line's end that an editor
# left behind it is no part of the password: neither the hash below nor Postgres's start script counts it.
encoded() {
	plain=$(cat "$1")
	case $plain in
	*[!A-Za-z0-9._-]*) printf '%s' "$plain" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g' ;;
	*) printf '%s' "$plain" ;;
	esac
}
database() { printf 'postgresql://%s:%s@postgres:5432/runcast' "$1" "$(encoded "$2")"; }
redis() { printf 'redis://%s:%s@redis:6379/0' "$1" "$(encoded "passwords/$1")"; }

for server in api hub tailer; do
	database runcast_server passwords/server >"$server/runcast_database_url"
	redis "$server" >"$server/runcast_redis_url"
done
database runcast postgres/password >migrate/runcast_database_url
database runcast_server passwords/server >migrate/runcast_database_service_url
# What reads as one caller at a time can't become what writes the event log.
for reader in api hub migrate; do
	database runcast_requests_login passwords/requests >"$reader/runcast_database_requests_url"
done
# Only the API checks passwords and makes tokens.
for reader in api migrate; do
	database runcast_accounts_login passwords/accounts >"$reader/runcast_database_accounts_url"
done
redis worker >migrate/runcast_redis_url

sed $(for user in api hub tailer worker health; do
	printf -- '-e s/{%s}/%s/ ' "$user" "$(hash "passwords/$user")"
done) "$users" >redis/users.acl
cp passwords/health redis/health

# Redis reads its files as a user of its own; no other container mounts them.
chmod 644 redis/users.acl redis/health
# Postgres's start script reads its one as root; no other container mounts its directory.
chmod 644 postgres/password
chmod 600 passwords/*

# Each server mounts a volume of its own, and none mounts this one.
if [ -n "$given" ]; then
	for server in postgres redis migrate api hub tailer; do
		cp -p "$server"/* "$given/$server/"
	done
fi
