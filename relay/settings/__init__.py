"""Everything that can be set, as one frozen value built from a mapping."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final, Self

from relay.access.addresses import Proxies
from relay.access.limits import Limits
from relay.access.policies import Scoping
from relay.errors import SettingsError
from relay.origins import ANY, OPAQUE
from relay.settings.variables import VARIABLES
from relay.upstream.key import is_token, role

# As difflib measures how much two names have in common.
NEAR_MISS: Final = 0.9
LOOKS_LIKE: Final = 0.85
REST_ALIKE: Final = 0.6  # of names that begin with a prefix of ours, what follows on it
SHORTEST_LIKENESS: Final = 8  # characters: HOST and PORT look like much else

_PREFIXES: Final = ("RELAY_", "SUPABASE_")
# What projects call these keys elsewhere.
_ALSO: Final = {
    "SUPABASE_SERVICE_ROLE_KEY": "SUPABASE_SECRET_KEY",
    "SUPABASE_SERVICE_KEY": "SUPABASE_SECRET_KEY",
    "SUPABASE_KEY": "SUPABASE_SECRET_KEY",
    "SUPABASE_ANON_KEY": "SUPABASE_PUBLISHABLE_KEY",
}
_KUBERNETES: Final = re.compile(r"_SERVICE_(HOST|PORT)|_PORT_\d+_(TCP|UDP|SCTP)")

__all__ = ["VARIABLES", "AccessSettings", "Settings", "misspelt"]


@dataclass(frozen=True, kw_only=True)
class AccessSettings:
    """Who may connect, and how much."""

    required: bool = True
    jwt_secret: str | None = field(default=None, repr=False)
    issuer: str
    audience: str = "authenticated"
    scoping: Scoping | None = None
    proxies: Proxies = field(default_factory=Proxies)
    auth_seconds: float = 10.0
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The settings in the parsed values of the variables."""
        column = values["RELAY_SCOPE_COLUMN"]
        each_second = values["RELAY_CONNECTS_PER_SECOND"]
        messages = values["RELAY_MESSAGES_PER_SECOND"]
        return cls(
            required=values["RELAY_AUTH"] == "required",
            jwt_secret=values["SUPABASE_JWT_SECRET"] or None,
            issuer=values["RELAY_JWT_ISSUER"] or f"{values['SUPABASE_URL']}/auth/v1",
            audience=values["RELAY_JWT_AUDIENCE"],
            scoping=Scoping(column, values["RELAY_SCOPE_CLAIM"] or column) if column else None,
            proxies=Proxies(values["RELAY_TRUSTED_PROXIES"], values["RELAY_CLIENT_ADDRESS_HEADER"]),
            auth_seconds=values["RELAY_AUTH_SECONDS"],
            limits=Limits(
                connections=values["RELAY_MAX_CONNECTIONS"],
                per_address=values["RELAY_MAX_PER_ADDRESS"],
                per_user=values["RELAY_MAX_PER_USER"],
                rate_per_address=each_second,
                burst_per_address=max(1, round(5 * each_second)),
                messages_per_second=messages,
                message_burst=max(1, round(10 * messages)),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one relay process; keys and tokens stay out of its repr.

    `gateway_key` is what the relay's own requests pass the gateway with: a key that is a JWT only
    says who calls.
    """

    supabase_url: str
    realtime_url: str
    supabase_key: str = field(repr=False)
    gateway_key: str = field(repr=False)
    publishable_key: str = field(repr=False)
    local_token: str | None = field(default=None, repr=False)
    cursor_key: str | None = field(default=None, repr=False)
    access: AccessSettings
    host: str = "127.0.0.1"
    port: int = 8003
    certificate: tuple[str, str] | None = None  # files: the certificate, its private key
    allowed_origins: tuple[str, ...] = ()
    catch_up_seconds: float = 5.0
    live: str = "auto"
    resume_seconds: int = 86400
    resume_rows: int = 200_000
    max_behind_bytes: int = 8 * 1024 * 1024
    log_bytes: int = 32 * 1024 * 1024
    compression: bool = False
    io_uring: bool = True

    @classmethod
    def from_env(
        cls, env: Mapping[str, str], *, host: str | None = None, port: int | None = None
    ) -> Self:
        """The settings that `env` describes; `host` and `port` outrank it.

        Raises:
            SettingsError: a variable is missing or has a bad value; the text names it.
        """
        _check_names(env)
        given = dict(env) | ({"HOST": host} if host else {})
        given |= {} if port is None else {"PORT": str(port)}
        values = {variable.name: variable.read(given) for variable in VARIABLES}
        key = values["RELAY_SUPABASE_KEY"] or values["SUPABASE_SECRET_KEY"]
        if not key:
            raise SettingsError(
                "SUPABASE_SECRET_KEY is not set: take the secret key from the project's API"
                " settings, or give the relay a key of its own in RELAY_SUPABASE_KEY"
            )
        _check_keys(values)
        _check_reach(values)
        url = values["SUPABASE_URL"]
        return cls(
            supabase_url=url,
            realtime_url=values["RELAY_REALTIME_URL"] or f"{url}/realtime/v1",
            supabase_key=key,
            gateway_key=_gateway_key(values, key),
            publishable_key=values["SUPABASE_PUBLISHABLE_KEY"],
            local_token=values["RELAY_LOCAL_TOKEN"] or None,
            cursor_key=values["RELAY_CURSOR_KEY"] or None,
            access=AccessSettings.of(values),
            certificate=_certificate(values),
            host=values["HOST"],
            port=values["PORT"],
            allowed_origins=values["RELAY_ALLOWED_ORIGINS"],
            catch_up_seconds=values["RELAY_CATCH_UP_SECONDS"],
            live=values["RELAY_LIVE"],
            resume_seconds=values["RELAY_RESUME_SECONDS"],
            resume_rows=values["RELAY_RESUME_ROWS"],
            max_behind_bytes=values["RELAY_MAX_BEHIND_BYTES"],
            log_bytes=_log_bytes(values),
            compression=values["RELAY_COMPRESSION"] == "on",
            io_uring=values["RELAY_IO_URING"] == "auto",
        )


def _gateway_key(values: Mapping[str, Any], key: str) -> str:
    if not is_token(values["RELAY_SUPABASE_KEY"]):
        return key
    publishable: str = values["SUPABASE_PUBLISHABLE_KEY"]
    if not publishable:
        raise SettingsError(
            "SUPABASE_PUBLISHABLE_KEY is not set: RELAY_SUPABASE_KEY is a JWT, which passes the"
            " project's gateway only beside the publishable key from its API settings"
        )
    return publishable


def _check_names(env: Mapping[str, str]) -> None:
    """Refuses what is meant to be a variable of ours. Others may begin with RELAY_ too: Kubernetes
    sets some for a service of that name."""
    known = [variable.name for variable in VARIABLES] + ["RELAY_TOKEN"]  # which clients read
    for name in sorted(env):
        if name in known or not name.upper().startswith("RELAY_"):
            continue
        if near := get_close_matches(name.upper(), known, n=1, cutoff=NEAR_MISS):
            raise SettingsError(f"{name} is not a variable that is read: is {near[0]} meant?")


def misspelt(env: Mapping[str, str]) -> list[str]:
    """Warnings of names that nothing reads, each near one that is read and not set."""
    names = ["RELAY_TOKEN", *(variable.name for variable in VARIABLES)]
    found = []
    for name, value in sorted(env.items()):
        # Kubernetes gives the address of a service called relay in RELAY_PORT.
        if name in names or _KUBERNETES.search(name) or ("://" in value and name.endswith("_PORT")):
            continue
        meant = _meant(name.upper(), names)
        if meant is not None and not env.get(meant):
            found.append(f"nothing reads {name}: is {meant} meant?")
    return found


def _meant(name: str, names: Sequence[str]) -> str | None:
    prefix = next((each for each in _PREFIXES if name.startswith(each)), None)
    if prefix is None:
        known = {each: each for each in names if len(each) >= SHORTEST_LIKENESS}
        near = get_close_matches(name, known, n=1, cutoff=LOOKS_LIKE)
    else:
        known = {each: each for each in names} if prefix == "RELAY_" else {}
        known |= {each.removeprefix(prefix): each for each in names if each.startswith(prefix)}
        known |= {other.removeprefix(prefix): each for other, each in _ALSO.items()}
        near = get_close_matches(name.removeprefix(prefix), known, n=1, cutoff=REST_ALIKE)
    return known[near[0]] if near else None


def _check_keys(values: Mapping[str, Any]) -> None:
    # The worker says the same of its key, see worker/settings.py.
    for name in ("SUPABASE_SECRET_KEY", "RELAY_SUPABASE_KEY"):
        if role(values[name]) == "anon":
            raise SettingsError(
                f"{name} holds the publishable (or anon) key: it has to be the secret key"
                " (sb_secret_..., or the legacy service_role key) from the project's API settings"
            )
    if role(values["SUPABASE_PUBLISHABLE_KEY"]) not in (None, "anon"):
        raise SettingsError(
            "SUPABASE_PUBLISHABLE_KEY holds a secret key, and pages are told it: it has to be the"
            " publishable key (sb_publishable_..., or the legacy anon key)"
        )


def _check_reach(values: Mapping[str, Any]) -> None:
    open_to_all = values["RELAY_AUTH"] == "off" and not _is_loopback(values["HOST"])
    everywhere = [each for each in values["RELAY_ALLOWED_ORIGINS"] if each in (ANY, OPAQUE)]
    if values["RELAY_AUTH"] == "off" and everywhere:
        raise SettingsError(
            f"RELAY_ALLOWED_ORIGINS has {everywhere[0]!r} and RELAY_AUTH is off: any web page that"
            " somebody on this machine opens could read and decide everything. Set"
            " RELAY_AUTH=required, or name the origins"
        )
    if open_to_all and values["RELAY_ALLOW_PUBLIC_WITHOUT_AUTH"] != "yes":
        raise SettingsError(
            f"HOST is {values['HOST']!r} and RELAY_AUTH is off: anyone who reaches the port could"
            " read everything. Set RELAY_AUTH=required, or listen on 127.0.0.1, or say"
            " RELAY_ALLOW_PUBLIC_WITHOUT_AUTH=yes"
        )


def _log_bytes(values: Mapping[str, Any]) -> int:
    behind: int = values["RELAY_MAX_BEHIND_BYTES"]
    found: int = values["RELAY_LOG_BYTES"] or 4 * behind
    if found < behind:
        raise SettingsError(
            f"RELAY_LOG_BYTES is '{found}': it has to be RELAY_MAX_BEHIND_BYTES ({behind}) at"
            " least, which clients may be behind"
        )
    return found


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _certificate(values: Mapping[str, Any]) -> tuple[str, str] | None:
    certificate, key = values["RELAY_TLS_CERT"], values["RELAY_TLS_KEY"]
    if bool(certificate) != bool(key):
        missing = "RELAY_TLS_KEY" if certificate else "RELAY_TLS_CERT"
        raise SettingsError(f"{missing} is not set: TLS needs the certificate and its private key")
    return (certificate, key) if certificate else None
