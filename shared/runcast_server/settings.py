"""Every setting of the servers, read from the environment once, at start.

One small class for each service and each backing service. A field's name is its environment
variable's: `sse_heartbeat_interval_s` is `RUNCAST_SSE_HEARTBEAT_INTERVAL_S`. An empty variable
counts as one that isn't set. Relative paths are resolved against the directory of the start,
here and nowhere else. `docs/operations.md` describes each of them; a test compares the two.
"""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from runcast._support import redis_url
from runcast.contract import MOST_INGEST_STREAMS
from runcast_server import db, owners, postgres_hosts
from runcast_server.errors import ExplainedError
from runcast_server.price_list import PriceList
from runcast_server.redis_access import clients

PREFIX = "RUNCAST_"

SECRETS_DIR = "RUNCAST_SECRETS_DIR"

# Read by the command line and the SDK, which share the environment with the servers.
CLIENT_NAMES = frozenset({"RUNCAST_URL", "RUNCAST_TOKEN", "RUNCAST_PROJECT", "RUNCAST_RUN_ID"})


class SettingsError(ExplainedError):
    """A setting can't be understood. The message names each variable and what is wrong with it."""


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))


def _paths(value: object) -> object:
    return tuple(value.split(os.pathsep)) if isinstance(value, str) else value


def _url_of(*schemes: str) -> AfterValidator:
    def check(url: str) -> str:
        if urlsplit(url).scheme not in schemes:
            raise ValueError(
                f"must be a URL that starts with {', '.join(f'{s}://' for s in schemes)}"
            )
        return url

    return AfterValidator(check)


def _postgres_url(url: str) -> str:
    if fault := postgres_hosts.fault(url):
        raise ValueError(fault)
    return url


def _redis_url(url: str) -> str:
    clients.options(redis_url.parse(url))
    return url


def _names(value: object) -> object:
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value


def _workers(value: object) -> object:
    return available_cores() if value == "auto" else value


def available_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
PathList = Annotated[tuple[AbsolutePath, ...], NoDecode, BeforeValidator(_paths)]
NameList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
PostgresUrl = Annotated[str, AfterValidator(_postgres_url)]
HttpUrl = Annotated[str, _url_of("http", "https")]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        secrets = Path(os.environ.get(SECRETS_DIR) or "/run/secrets")
        if not secrets.is_dir():
            return init_settings, env_settings
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets)


class ProcessSettings(_Settings):
    """What each process needs, whichever services it runs."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    data: AbsolutePath = Field(default=Path(".runcast"), validate_default=True)
    public_url: str | None = None
    allowed_hosts: NameList = ()
    cors_origins: NameList = ()
    trusted_proxies: NameList = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    metrics_public: bool = False
    start_wait_s: float = Field(default=30, ge=0)
    workers: Annotated[int, BeforeValidator(_workers)] = Field(default=1, ge=1, le=256)
    shutdown_grace_s: float = Field(default=4, gt=0)


class PostgresSettings(_Settings):
    """The database. `runcast up` fills the URL in for its embedded server."""

    database_url: PostgresUrl | None = Field(default=None, repr=False)
    database_service_url: PostgresUrl | None = Field(default=None, repr=False)
    database_requests_url: PostgresUrl | None = Field(default=None, repr=False)
    database_accounts_url: PostgresUrl | None = Field(default=None, repr=False)
    database_read_url: PostgresUrl | None = Field(default=None, repr=False)
    database_pool_size: int = Field(default=10, ge=2)

    @property
    def urls(self) -> db.Urls:
        """By which URLs the services log in. `database_url` must be set."""
        return db.Urls(
            str(self.database_url),
            self.database_requests_url,
            self.database_accounts_url,
            self.database_read_url,
        )

    @property
    def service_urls(self) -> db.Urls | None:
        """The same where `database_url` is the owner's, who is to make these logins."""
        if self.database_service_url is None:
            return None
        return dataclasses.replace(self.urls, log=self.database_service_url)


class RedisSettings(_Settings):
    """Redis or Valkey, for fan-out and ingest. `runcast up` fills in its embedded server's URL."""

    redis_url: RedisUrl | None = Field(default=None, repr=False)
    ingest_streams: int = Field(default=1, ge=1, le=MOST_INGEST_STREAMS)


class AuthSettings(_Settings):
    """Who is believed."""

    jwt_secret: SecretStr | None = None
    jwt_jwks_url: HttpUrl | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_role_claim: str = "role"
    oidc_issuer: HttpUrl | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_scopes: str = "openid email profile"
    password_breach_url: HttpUrl | None = None
    session_hours: float = Field(default=168, gt=0)
    password_sign_in: bool = True
    invitations: Literal["auto", "owners", "confirmed"] = "auto"
    key_max_days: int | None = Field(default=None, ge=1, le=36_500)
    project_creation: Literal["anyone", "admin"] = "anyone"
    requests_per_minute: int = Field(default=300_000, ge=0)
    share_requests_per_minute: int = Field(default=600, ge=0)
    share_searches_per_minute: int = Field(default=30, ge=0)
    share_bytes_per_minute: int = Field(default=256 * 1024 * 1024, ge=0)

    @property
    def confirms_invitations(self) -> bool:
        """Whether invitations by others than administrators wait for one. By default where there is an
        identity provider: it knows addresses, and people there expect it to decide who has an account."""
        has_provider = self.oidc_issuer is not None
        return self.invitations == "confirmed" or (self.invitations == "auto" and has_provider)


class ApiSettings(_Settings):
    """The REST service with ingester and sweeper."""

    run_heartbeat_s: float = Field(default=30, gt=0)
    log_retention_days: int | None = Field(default=None, ge=1, le=36_500)
    retention_max_days: int | None = Field(default=None, ge=1, le=36_500)
    project_max_bytes: int | None = Field(default=None, ge=1, lt=2**62)
    project_lines_per_minute: int | None = Field(default=None, ge=1, lt=2**62)
    reject_retention_days: int = Field(default=30, ge=1, le=36_500)
    audit_retention_days: int = Field(default=730, ge=30, le=36_500)
    runtime_retention_days: int = Field(default=30, ge=1, le=36_500)
    artifacts_url: str | None = None
    ingest_secret: SecretStr | None = None
    otlp_spans: Literal["agents", "all"] = "agents"
    webhook_private: bool | None = None
    prices_file: AbsolutePath | None = None

    @field_validator("prices_file")
    @classmethod
    def holds_prices(cls, path: Path | None) -> Path | None:
        """A file that can be understood."""
        if path is not None:
            PriceList.read(path)
        return path


class HubSettings(_Settings):
    """Live streams."""

    sse_heartbeat_interval_s: float = Field(default=30, gt=0)
    sse_connection_timeout_m: float = Field(default=60, gt=0)
    sse_max_connections_per_user: int = Field(default=5, ge=0)
    sse_max_connections_per_key: int = Field(default=100, ge=0)
    sse_max_connections_per_share_link: int = Field(default=20, ge=0)
    event_channel_buffer: int = Field(default=10_000, ge=1)
    hub_memory_mb: int = Field(default=256, ge=1)


class TailerSettings(_Settings):
    """Following of files beside the agents."""

    runs_dir: AbsolutePath = Field(default=Path("runs"), validate_default=True)
    tail_roots: PathList = ()
    tail_project: str = "default"
    tail_poll_ms: int = Field(default=100, ge=1)
    tail_wait_s: float = Field(default=5, ge=0)
    tail_tz: str | None = None
    max_line_bytes: int = Field(default=65_536, ge=1)
    tail_owners: NameList = ()

    @field_validator("tail_owners")
    @classmethod
    def are_users_and_projects(cls, pairs: tuple[str, ...]) -> tuple[str, ...]:
        """Each one a user of this system, by name or number, and a project: `alice=alpha`."""
        owners.read(pairs)
        return pairs

    @field_validator("tail_tz")
    @classmethod
    def is_a_zone(cls, name: str | None) -> str | None:
        """A name of the tz database that this machine knows."""
        if name is not None and name not in available_timezones():
            raise ValueError("is no time zone (for example Europe/Berlin)")
        return name

    @property
    def roots(self) -> tuple[Path, ...]:
        """The directories beneath which `/tail` may read; `runs_dir` unless others are named."""
        return self.tail_roots or (self.runs_dir,)


@dataclass(frozen=True)
class ServerSettings:
    """All settings of one process, as `read` found them."""

    process: ProcessSettings
    postgres: PostgresSettings
    redis: RedisSettings
    auth: AuthSettings
    api: ApiSettings
    hub: HubSettings
    tailer: TailerSettings

    @property
    def artifacts_url(self) -> str:
        """Where large artifacts go: a folder of the data directory unless a URL was given."""
        return self.api.artifacts_url or (self.process.data / "artifacts").as_uri()

    @property
    def base_url(self) -> str:
        """What links begin with that are sent where no request came from."""
        process = self.process
        return (process.public_url or f"http://{process.host}:{process.port}").rstrip("/")

    @property
    def allows_private_webhooks(self) -> bool:
        """Whether webhooks may go to this machine and its networks: unless it is set, where only this machine
        reaches the server, by no gateway either."""
        if self.api.webhook_private is not None:
            return self.api.webhook_private
        process = self.process
        has_gateway = process.public_url or process.trusted_proxies or process.allowed_hosts
        return process.host in ("127.0.0.1", "::1", "localhost") and not has_gateway


SECTIONS: tuple[type[_Settings], ...] = (
    ProcessSettings,
    PostgresSettings,
    RedisSettings,
    AuthSettings,
    ApiSettings,
    HubSettings,
    TailerSettings,
)

_Section = TypeVar("_Section", bound=_Settings)


def read(**given: object) -> ServerSettings:
    """Read the environment; what is `given` and not None (a command's flags) wins over it.

    What the environment lacks is looked for in the files of a directory of secrets: the file
    `runcast_database_url` holds `RUNCAST_DATABASE_URL`.

    Raises SettingsError, which names every variable that can't be understood.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    problems: list[str] = []

    def section(kind: type[_Section]) -> _Section | None:
        fields = {name: value for name, value in chosen.items() if name in kind.model_fields}
        try:
            return kind(**fields)
        except ValidationError as error:
            problems.extend(_complaints(error))
            return None

    process, postgres, redis = (
        section(ProcessSettings),
        section(PostgresSettings),
        section(RedisSettings),
    )
    auth, api = section(AuthSettings), section(ApiSettings)
    hub, tailer = section(HubSettings), section(TailerSettings)
    if not (process and postgres and redis and auth and api and hub and tailer):
        raise SettingsError("\n".join(problems))
    return ServerSettings(process, postgres, redis, auth, api, hub, tailer)


def names() -> frozenset[str]:
    """The environment variables that the servers read."""
    return frozenset(f"{PREFIX}{field.upper()}" for kind in SECTIONS for field in kind.model_fields)


def as_environment(given: Mapping[str, object]) -> dict[str, str]:
    """What is given and not None (a command's flags) as variables, for processes that we start."""
    return {
        f"{PREFIX}{name.upper()}": str(value) for name, value in given.items() if value is not None
    }


def unknown(environ: Mapping[str, str]) -> list[str]:
    """Variables with our prefix that nothing reads: most likely misspelt."""
    known = names() | CLIENT_NAMES | {SECRETS_DIR}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def _complaints(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_context=False):
        name = str(problem["loc"][0]) if problem["loc"] else "?"
        said = problem["msg"].removeprefix("Value error, ")
        shown = "" if name.endswith(("_url", "_secret")) else f" (it is {problem['input']!r})"
        yield f"{PREFIX}{name.upper()}: {said}{shown}"
