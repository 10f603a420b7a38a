"""Every setting of the servers, read from the environment once, at start.

One small class for each service and each backing service. A field's name is its environment
variable's: `sse_heartbeat_interval_s` is `RUNCAST_SSE_HEARTBEAT_INTERVAL_S`. An empty variable
counts as one that isn't set. Relative paths are resolved against the directory of the start,
here and nowhere else. `docs/operations.md` describes each of them; a test compares the two.
"""

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from runcast.contract import MOST_INGEST_STREAMS, SLUG
from runcast_server import db, owners, setting_values
from runcast_server.errors import ExplainedError
from runcast_server.price_list import PriceList
from runcast_server.setting_values import (
    AbsolutePath,
    Bytes,
    Contact,
    Count,
    Days,
    HostList,
    HostName,
    HttpUrl,
    NameList,
    NetworkList,
    OriginList,
    PathList,
    PostgresUrl,
    PublicUrl,
    PushSecret,
    RedisUrl,
    StoreUrl,
    Workers,
)

PREFIX = "RUNCAST_"

SECRETS_DIR = "RUNCAST_SECRETS_DIR"
SHOWN_CHARACTERS = 60
"""What of a value that is refused is shown."""
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Read by the command line and the SDK, which share the environment with the servers.
CLIENT_NAMES = frozenset({"RUNCAST_URL", "RUNCAST_TOKEN", "RUNCAST_PROJECT", "RUNCAST_RUN_ID"})


class SettingsError(ExplainedError):
    """A setting can't be understood. The message names each variable and what is wrong with it."""


def _secrets_directory() -> Path | None:
    """Where files of secrets lie; None where there is no such directory. Raises `SettingsError` for one that
    was named and is none."""
    named = os.environ.get(SECRETS_DIR)
    directory = Path(named or "/run/secrets")
    try:
        if directory.is_dir():
            return directory
    except OSError as error:
        raise SettingsError(
            f"{SECRETS_DIR}: {directory} can't be read: {error.strerror}"
        ) from error
    if named:
        raise SettingsError(f"{SECRETS_DIR}: {directory} is no directory")
    return None


def _check_secrets() -> None:
    """Raises `SettingsError` for a file of secrets that can't be read."""
    directory = _secrets_directory()
    if directory is None:
        return
    for name in sorted(names()):
        path = directory / name.lower()
        try:
            if path.exists() or path.is_symlink():
                path.read_text()
        except UnicodeDecodeError:
            raise SettingsError(f"{name}: the file {path} holds something else than text") from None
        except OSError as error:
            raise SettingsError(
                f"{name}: the file {path} can't be read: {error.strerror}"
            ) from error


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
        secrets = _secrets_directory()
        if secrets is None:
            return init_settings, env_settings
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets)


class ProcessSettings(_Settings):
    """What each process needs, whichever services it runs."""

    host: HostName = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    data: AbsolutePath = Field(default=Path(".runcast"), validate_default=True)
    public_url: PublicUrl | None = None
    allowed_hosts: HostList = ()
    cors_origins: OriginList = ()
    trusted_proxies: NetworkList = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    metrics_public: bool = False
    start_wait_s: float = Field(default=30, ge=0, le=86_400)
    workers: Workers = 1
    shutdown_grace_s: float = Field(default=4, gt=0, le=3_600)


class PostgresSettings(_Settings):
    """The database. `runcast up` fills the URL in for its embedded server."""

    database_url: PostgresUrl | None = Field(default=None, repr=False)
    database_service_url: PostgresUrl | None = Field(default=None, repr=False)
    database_requests_url: PostgresUrl | None = Field(default=None, repr=False)
    database_accounts_url: PostgresUrl | None = Field(default=None, repr=False)
    database_read_url: PostgresUrl | None = Field(default=None, repr=False)
    database_pool_size: int = Field(default=10, ge=2, le=1_000)

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
    session_hours: float = Field(default=168, gt=0, le=87_600)
    password_sign_in: bool = True
    invitations: Literal["auto", "owners", "confirmed"] = "auto"
    key_max_days: Days | None = None
    project_creation: Literal["anyone", "admin"] = "anyone"
    requests_per_minute: Count = 300_000
    share_requests_per_minute: Count = 600
    share_searches_per_minute: Count = 30
    share_bytes_per_minute: int = Field(default=256 * 1024 * 1024, ge=0, lt=2**62)

    @property
    def confirms_invitations(self) -> bool:
        """Whether invitations by others than administrators wait for one. By default where there is an
        identity provider: it knows addresses, and people there expect it to decide who has an account."""
        has_provider = self.oidc_issuer is not None
        return self.invitations == "confirmed" or (self.invitations == "auto" and has_provider)


class ApiSettings(_Settings):
    """The REST service with ingester and sweeper."""

    run_heartbeat_s: float = Field(default=30, gt=0, le=604_800)
    log_retention_days: Days | None = None
    retention_max_days: Days | None = None
    project_max_bytes: Bytes | None = None
    project_lines_per_minute: Bytes | None = None
    reject_retention_days: Days = 30
    audit_retention_days: int = Field(default=730, ge=30, le=36_500)
    runtime_retention_days: Days = 30
    artifacts_url: StoreUrl | None = None
    ingest_secret: SecretStr | None = None
    otlp_spans: Literal["agents", "all"] = "agents"
    webhook_private: bool | None = None
    push_answers: bool = True
    push_contact: Contact | None = None
    push_secret: PushSecret | None = None
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

    sse_heartbeat_interval_s: float = Field(default=30, gt=0, le=3_600)
    sse_connection_timeout_m: float = Field(default=60, gt=0, le=525_600)
    sse_max_connections_per_user: Count = 5
    sse_max_connections_per_key: Count = 100
    sse_max_connections_per_share_link: Count = 20
    event_channel_buffer: int = Field(default=10_000, ge=1, le=10_000_000)
    hub_memory_mb: int = Field(default=256, ge=1, le=1_000_000)


class TailerSettings(_Settings):
    """Following of files beside the agents."""

    runs_dir: AbsolutePath = Field(default=Path("runs"), validate_default=True)
    tail_roots: PathList = ()
    tail_project: str = "default"
    tail_poll_ms: int = Field(default=100, ge=1, le=3_600_000)
    tail_wait_s: float = Field(default=5, ge=0, le=86_400)
    tail_tz: str | None = None
    max_line_bytes: int = Field(default=65_536, ge=1, le=16 * 1024 * 1024)
    tail_owners: NameList = ()

    @field_validator("tail_owners")
    @classmethod
    def are_users_and_projects(cls, pairs: tuple[str, ...]) -> tuple[str, ...]:
        """Each one a user of this system, by name or number, and a project: `alice=alpha`."""
        owners.read(pairs)
        return pairs

    @field_validator("tail_project")
    @classmethod
    def is_a_project(cls, name: str) -> str:
        """A slug, or the id of a project."""
        if not SLUG.fullmatch(name) and not _ID.fullmatch(name.lower()):
            raise ValueError("is no slug: a to z, 0 to 9 and -, 63 characters at most")
        return name

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


class TracingSettings(_Settings):
    """Traces of what the servers do, for a collector of OpenTelemetry."""

    traces_url: HttpUrl | None = None
    traces_headers: SecretStr | None = None
    traces_sample: float = Field(default=1.0, ge=0, le=1)

    @field_validator("traces_headers")
    @classmethod
    def are_headers(cls, given: SecretStr | None) -> SecretStr | None:
        """`name=value` pairs, separated by commas."""
        setting_values.headers(given.get_secret_value() if given else "")
        return given

    @property
    def headers_of_traces(self) -> dict[str, str]:
        """What is sent to the collector with each request."""
        given = self.traces_headers
        return setting_values.headers(given.get_secret_value() if given else "")

    @property
    def traces_endpoint(self) -> str:
        """Where spans are sent: `/v1/traces` of the collector, unless the URL has a path of its own."""
        url = str(self.traces_url)
        return url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/v1/traces"


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
    tracing: TracingSettings

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
    def push_contact(self) -> str:
        """Whom a browser's push service may turn to: an address of the web or of mail (RFC 8292, 2.1)."""
        return self.api.push_contact or (
            self.base_url if self.base_url.startswith("https://") else "mailto:operator@localhost"
        )

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
    TracingSettings,
)

_Section = TypeVar("_Section", bound=_Settings)


def read(**given: object) -> ServerSettings:
    """Read the environment; what is `given` and not None (a command's flags) wins over it.

    What the environment lacks is looked for in the files of a directory of secrets: the file
    `runcast_database_url` holds `RUNCAST_DATABASE_URL`.

    Raises SettingsError, which names every variable that can't be understood.
    """
    _check_secrets()
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
    hub, tailer, tracing = section(HubSettings), section(TailerSettings), section(TracingSettings)
    if not (process and postgres and redis and auth and api and hub and tailer and tracing):
        raise SettingsError("\n".join(problems))
    return ServerSettings(process, postgres, redis, auth, api, hub, tailer, tracing)


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
        is_secret = name.endswith(("_url", "_secret", "_headers"))
        shown = "" if is_secret else f" (it is {_cut(repr(problem['input']))})"
        yield f"{PREFIX}{name.upper()}: {_cut(said, 4 * SHOWN_CHARACTERS)}{shown}"


def _cut(text: str, most: int = SHOWN_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
