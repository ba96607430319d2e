"""Every environment variable of the relay, in groups; read into frozen settings.

`GROUPS` lists the groups, each with a title and its variables: name, type, default and help.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

import jwt

from relay.access import addresses
from relay.access.limits import Limits
from relay.access.origins import ANY, OPAQUE, is_this_machine
from relay.access.policies import Scoping
from relay.errors import SettingsError
from relay.variables import (
    FILE,
    HEADER,
    NAME,
    NETWORKS,
    ORIGINS,
    PROJECT_URL,
    RATE,
    SECONDS,
    SECRET,
    TEXT,
    URL,
    Group,
    Variable,
    check_names,
    flag,
    one_of,
    optional,
    variable,
    whole,
)

SOON_SECONDS: Final = 7 * 86400


def _claims(key: str) -> Mapping[str, Any]:
    try:
        return jwt.decode(key, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return {}


def key_role(key: str) -> str | None:
    """Return the role of the key; None if it cannot be told from it."""
    if key.startswith("sb_secret_"):
        return "service_role"
    if key.startswith("sb_publishable_"):
        return "anon"
    role = _claims(key).get("role")
    return role if isinstance(role, str) else None


def expires_at(key: str) -> float | None:
    """Return when the key expires, in seconds since 1970; None if never or unknown."""
    try:
        return float(_claims(key)["exp"])
    except (ValueError, KeyError, TypeError):
        return None


def key_trouble(key: str, now: float) -> str | None:
    """Return a warning about a key that expires soon or has expired; None for others."""
    end = expires_at(key)
    if end is None or end - now > SOON_SECONDS:
        return None
    if end <= now:
        return f"the relay's key expired at {_minute(end)}: give it a new one and restart it"
    return f"the relay's key expires at {_minute(end)}: give it a new one and restart it"


def _minute(seconds: float) -> str:
    return f"{datetime.fromtimestamp(max(0.0, seconds), UTC):%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, kw_only=True)
class ProjectSettings(Group):
    """Where the rows come from.

    Raises:
        SettingsError: A key is missing, or has its place taken by one of another kind.
    """

    title = "Supabase project"

    url: str = variable(
        "SUPABASE_URL",
        None,
        "the address of the Supabase project",
        PROJECT_URL,
    )
    secret_key: str = variable(
        "SUPABASE_SECRET_KEY", "", "the secret key of the project", SECRET, secret=True
    )
    publishable_key: str = variable(
        "SUPABASE_PUBLISHABLE_KEY",
        "",
        "the publishable key of the project, which commands are sent with",
        SECRET,
        secret=True,
    )
    own_key: str = variable(
        "RELAY_SUPABASE_KEY",
        "",
        "a key with less rights than the secret one, for the relay alone",
        SECRET,
        secret=True,
    )
    realtime_address: str = variable(
        "RELAY_REALTIME_URL", "", "the address of Realtime; SUPABASE_URL/realtime/v1 if empty", URL
    )
    live: str = variable(
        "RELAY_LIVE",
        "auto",
        "how changes arrive live: auto, broadcast, postgres_changes",
        one_of("auto", "broadcast", "postgres_changes"),
    )

    def __post_init__(self) -> None:
        if not self.key:
            raise SettingsError(
                "SUPABASE_SECRET_KEY is not set: take the secret key from the project's API"
                " settings, or give the relay a key of its own in RELAY_SUPABASE_KEY"
            )
        # The worker says the same of its key, see worker/settings.py.
        for name, key in (
            ("SUPABASE_SECRET_KEY", self.secret_key),
            ("RELAY_SUPABASE_KEY", self.own_key),
        ):
            if key_role(key) == "anon":
                raise SettingsError(
                    f"{name} holds the publishable (or anon) key: it has to be the secret key"
                    " (sb_secret_..., or the legacy service_role key) from the project's API"
                    " settings"
                )
        if key_role(self.publishable_key) not in (None, "anon"):
            raise SettingsError(
                "SUPABASE_PUBLISHABLE_KEY holds a secret key, and pages are told it: it has to be"
                " the publishable key (sb_publishable_..., or the legacy anon key)"
            )
        if not self.gateway_key:
            raise SettingsError(
                "SUPABASE_PUBLISHABLE_KEY is not set: RELAY_SUPABASE_KEY is a JWT, which passes the"
                " project's gateway only beside the publishable key from its API settings"
            )

    @property
    def key(self) -> str:
        """The key that the relay authenticates with."""
        return self.own_key or self.secret_key

    @property
    def gateway_key(self) -> str:
        """The key that opens the project's gateway, which a JWT does not."""
        is_jwt = self.own_key.count(".") == 2
        return self.publishable_key if is_jwt else self.key

    @property
    def realtime_url(self) -> str:
        """The address of Realtime."""
        return self.realtime_address or f"{self.url}/realtime/v1"


@dataclass(frozen=True, kw_only=True)
class ServerSettings(Group):
    """Where the relay listens, and what it writes to its log.

    Raises:
        SettingsError: Of the certificate and its private key only one is given.
    """

    title = "Server"

    host: str = variable("HOST", "127.0.0.1", "the address to listen on", TEXT)
    port: int = variable(
        "PORT", "8003", "the port to listen on; 0 takes a free one", whole(0, 65535)
    )
    tls_certificate: str = variable(
        "RELAY_TLS_CERT", "", "the file with the certificate, for https and wss", FILE
    )
    tls_key: str = variable(
        "RELAY_TLS_KEY", "", "the file with the certificate's private key", FILE
    )
    allowed_origins: tuple[str, ...] = variable(
        "RELAY_ALLOWED_ORIGINS",
        "",
        "origins of pages that may use the relay beside its own, with commas: https://a.example,"
        " https://*.example, http://localhost:*, capacitor://localhost, null, or * for all",
        ORIGINS,
    )
    trusted_proxies: tuple[addresses.Network, ...] = variable(
        "RELAY_TRUSTED_PROXIES",
        "",
        "proxies that say truly whom they forward for, as addresses or networks with commas",
        NETWORKS,
    )
    address_header: str = variable(
        "RELAY_CLIENT_ADDRESS_HEADER",
        "X-Forwarded-For",
        "the header in which these proxies say for whom; they have to set it or add to it",
        HEADER,
    )
    log_format: str = variable(
        "LOG_FORMAT", "text", "format of log lines: text, json", one_of("text", "json")
    )

    def __post_init__(self) -> None:
        if bool(self.tls_certificate) != bool(self.tls_key):
            missing = "RELAY_TLS_KEY" if self.tls_certificate else "RELAY_TLS_CERT"
            raise SettingsError(
                f"{missing} is not set: TLS needs the certificate and its private key"
            )

    @property
    def proxies(self) -> addresses.Proxies:
        """The trusted proxies."""
        return addresses.Proxies(self.trusted_proxies, self.address_header)


@dataclass(frozen=True, kw_only=True)
class AccessSettings(Group):
    """Which tokens are accepted, and which rows they grant."""

    title = "Access control"

    required: bool = variable(
        "RELAY_AUTH",
        "required",
        "who may connect: required asks for a user's token, off lets everybody in",
        flag("required", "off", true="required"),
    )
    public_without_auth: bool = variable(
        "RELAY_ALLOW_PUBLIC_WITHOUT_AUTH",
        "no",
        "yes lets a relay without access control listen on more than this machine",
        flag("no", "yes", true="yes"),
    )
    jwt_secret: str | None = variable(
        "SUPABASE_JWT_SECRET",
        "",
        "the secret of a project that still signs tokens with HS256",
        optional(TEXT),
        secret=True,
    )
    issuer: str | None = variable(
        "RELAY_JWT_ISSUER",
        "",
        "who has to have issued a token; SUPABASE_URL/auth/v1 if empty",
        optional(TEXT),
    )
    audience: str = variable(
        "RELAY_JWT_AUDIENCE", "authenticated", "whom a token has to be meant for", TEXT
    )
    scope_column: str = variable(
        "RELAY_SCOPE_COLUMN",
        "",
        "the column of all three tables that says whose a row is, where not everybody sees all",
        NAME,
    )
    scope_claim: str = variable(
        "RELAY_SCOPE_CLAIM",
        "",
        "where in app_metadata a token lists its scopes; RELAY_SCOPE_COLUMN if empty",
        NAME,
    )
    local_token: str | None = variable(
        "RELAY_LOCAL_TOKEN",
        "",
        "the user token of commands that bring none",
        optional(SECRET),
        secret=True,
    )

    @property
    def scoping(self) -> Scoping | None:
        """The scope column and claim; None if every token grants whole tables."""
        column = self.scope_column
        return Scoping(column, self.scope_claim or column) if column else None


@dataclass(frozen=True, kw_only=True)
class ClientSettings(Group):
    """Limits on clients, of each process."""

    title = "Limits on clients"

    connections: int = variable(
        "RELAY_MAX_CONNECTIONS", "12000", "connections of one process", whole(1, 1_000_000)
    )
    per_address: int = variable(
        "RELAY_MAX_PER_ADDRESS",
        "200",
        "connections from one address, which may be this machine's",
        whole(1, 1_000_000),
    )
    per_user: int = variable(
        "RELAY_MAX_PER_USER", "50", "connections of one user", whole(1, 1_000_000)
    )
    connects_per_second: float = variable(
        "RELAY_CONNECTS_PER_SECOND",
        "20",
        "new connections per second from one address, burst 5 x",
        RATE,
    )
    messages_per_second: float = variable(
        "RELAY_MESSAGES_PER_SECOND", "5", "client messages per second, burst 10 x", RATE
    )
    auth_seconds: float = variable(
        "RELAY_AUTH_SECONDS", "10", "seconds that a client may take for its token", SECONDS
    )

    @property
    def limits(self) -> Limits:
        """The limits, with the bursts that follow from the rates."""
        return Limits(
            connections=self.connections,
            per_address=self.per_address,
            per_user=self.per_user,
            rate_per_address=self.connects_per_second,
            burst_per_address=max(1, round(5 * self.connects_per_second)),
            messages_per_second=self.messages_per_second,
            message_burst=max(1, round(10 * self.messages_per_second)),
        )


@dataclass(frozen=True, kw_only=True)
class DeliverySettings(Group):
    """How rows reach clients, and how long they can be missed.

    Raises:
        SettingsError: The logs are smaller than what one client may be behind.
    """

    title = "Delivery"

    catch_up_seconds: float = variable(
        "RELAY_CATCH_UP_SECONDS", "5", "seconds between reads of what Realtime lost", SECONDS
    )
    cursor_key: str | None = variable(
        "RELAY_CURSOR_KEY",
        "",
        "what cursors are signed with, the same for all relays; the relay's Supabase key if empty",
        optional(TEXT),
        secret=True,
    )
    resume_seconds: int = variable(
        "RELAY_RESUME_SECONDS",
        "86400",
        "how old a cursor may be, in seconds",
        whole(1, 30 * 86400),
    )
    resume_rows: int = variable(
        "RELAY_RESUME_ROWS",
        "200000",
        "changes that a resuming client may have missed when the database has to be asked",
        whole(1000, 1_000_000),
    )
    max_behind_bytes: int = variable(
        "RELAY_MAX_BEHIND_BYTES",
        "8388608",
        "bytes that a slow client may be behind",
        whole(65536, 2**30),
    )
    log_budget: int | None = variable(
        "RELAY_LOG_BYTES",
        "",
        "bytes that the logs of all endpoints take; four times RELAY_MAX_BEHIND_BYTES if empty",
        optional(whole(2**20, 2**40)),
    )
    compression: str = variable(
        "RELAY_COMPRESSION",
        "initial",
        "what is compressed for clients that offer permessage-deflate: initial (the initial state),"
        " on (changes too), off",
        one_of("initial", "on", "off"),
    )
    io_uring: bool = variable(
        "RELAY_IO_URING",
        "auto",
        "whether one system call sends to all clients, where the kernel offers io_uring: auto, off",
        flag("auto", "off", true="auto"),
    )

    def __post_init__(self) -> None:
        if self.log_bytes < self.max_behind_bytes:
            raise SettingsError(
                f"RELAY_LOG_BYTES is '{self.log_bytes}': it has to be RELAY_MAX_BEHIND_BYTES"
                f" ({self.max_behind_bytes}) at least, which clients may be behind"
            )

    @property
    def log_bytes(self) -> int:
        """Bytes that the logs of all endpoints take."""
        return self.log_budget or 4 * self.max_behind_bytes


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one relay process; keys and tokens stay out of its repr.

    Raises:
        SettingsError: Everybody could read and decide everything, and nobody has asked for that.
    """

    project: ProjectSettings
    server: ServerSettings
    access: AccessSettings
    clients: ClientSettings
    delivery: DeliverySettings

    @classmethod
    def from_env(
        cls, env: Mapping[str, str], *, host: str | None = None, port: int | None = None
    ) -> Self:
        """Return the settings that `env` describes; `host` and `port` outrank it.

        Raises:
            SettingsError: A variable is missing or has a bad value; the text names it.
        """
        check_names(env, NAMES)
        given = dict(env) | ({"HOST": host} if host else {})
        given |= {} if port is None else {"PORT": str(port)}
        return cls(
            project=ProjectSettings.read(given),
            server=ServerSettings.read(given),
            access=AccessSettings.read(given),
            clients=ClientSettings.read(given),
            delivery=DeliverySettings.read(given),
        )

    def __post_init__(self) -> None:
        if self.access.required:
            return
        if everywhere := {ANY, OPAQUE}.intersection(self.server.allowed_origins):
            raise SettingsError(
                f"RELAY_ALLOWED_ORIGINS has {min(everywhere)!r} and RELAY_AUTH is off: any web page"
                " that somebody on this machine opens could read and decide everything. Set"
                " RELAY_AUTH=required, or name the origins"
            )
        if not (is_this_machine(self.server.host) or self.access.public_without_auth):
            raise SettingsError(
                f"HOST is {self.server.host!r} and RELAY_AUTH is off: anyone who reaches the port"
                " could read everything. Set RELAY_AUTH=required, or listen on 127.0.0.1, or say"
                " RELAY_ALLOW_PUBLIC_WITHOUT_AUTH=yes"
            )

    @property
    def issuer(self) -> str:
        """The issuer that tokens have to name."""
        return self.access.issuer or f"{self.project.url}/auth/v1"


GROUPS: Final[tuple[type[Group], ...]] = (
    ProjectSettings,
    ServerSettings,
    AccessSettings,
    ClientSettings,
    DeliverySettings,
)
VARIABLES: Final[tuple[Variable, ...]] = tuple(
    each for group in GROUPS for each in group.variables().values()
)
NAMES: Final = (*(each.name for each in VARIABLES), "RELAY_TOKEN")  # that one is read by clients
