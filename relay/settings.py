"""Every variable of the relay, with default, help and parser, and the frozen settings of them.

What a parser says in its ValueError follows on "NAME is 'x': it".
"""

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final, Self
from urllib.parse import SplitResult, urlsplit

from relay.access import addresses
from relay.access.gate import AccessSettings
from relay.access.origins import ANY, OPAQUE
from relay.access.origins import check as check_origin
from relay.errors import SettingsError

SOON_SECONDS: Final = 7 * 86400


def is_jwt(key: str) -> bool:
    """Whether it is a JWT: as such it tells who calls, but opens no gateway by itself."""
    return key.count(".") == 2


def key_role(key: str) -> str | None:
    """The role that the key stands for; None when it does not show."""
    if key.startswith("sb_secret_"):
        return "service_role"
    if key.startswith("sb_publishable_"):
        return "anon"
    claims = _claims(key)
    found = None if claims is None else claims.get("role")
    return found if isinstance(found, str) else None


def expires_at(key: str) -> float | None:
    """When the key expires, in seconds since 1970; None when it does not, or does not say."""
    claims = _claims(key)
    try:
        return None if claims is None else float(claims["exp"])
    except (ValueError, KeyError, TypeError):
        return None


def _claims(key: str) -> Mapping[str, Any] | None:
    parts = key.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


def key_trouble(key: str, now: float) -> str | None:
    """What to say about a key that expires soon or has expired; None about any other."""
    end = expires_at(key)
    if end is None or end - now > SOON_SECONDS:
        return None
    if end <= now:
        return f"the relay's key expired {now - end:.0f} s ago: give it a new one and restart it"
    return f"the relay's key expires in {end - now:.0f} s: give it a new one and restart it"


def plain(text: str) -> str:
    """The text as it is."""
    return text


def secret(text: str) -> str:
    """A text that a header can carry."""
    # It travels in a header; the library's own error would show it.
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("has characters that no key has")
    return text


def words(text: str) -> tuple[str, ...]:
    """Words with commas between."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def origins(text: str) -> tuple[str, ...]:
    """Patterns of origins with commas between."""
    return tuple(check_origin(each) for each in words(text))


def url(text: str) -> str:
    """An address of a web server, without a slash at its end."""
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise ValueError("has to begin with http:// or https:// and name a host")
    if not _port_fits(parts):
        raise ValueError("names a port that cannot be")
    return text.rstrip("/")


def project_url(text: str) -> str:
    """The address of a project, to which the paths of its services are added."""
    found = url(text)
    parts = urlsplit(found)
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        # The worker says the same, see worker/settings.py.
        raise ValueError(
            "has to be the address of the project alone, such as https://abc.supabase.co, without"
            " a path"
        )
    return found


def _port_fits(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def whole(least: int, most: int) -> Callable[[str], int]:
    """Whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"has to be a whole number from {least} to {most}")
        return int(text)

    return parse


def bytes_or_nothing(text: str) -> int | None:
    """A whole number of bytes from 1 MiB to 1 TiB, or nothing."""
    return whole(2**20, 2**40)(text) if text else None


def seconds(text: str) -> float:
    """A number of seconds from 0.1 to 3600."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise ValueError("has to be a number of seconds from 0.1 to 3600")
    return seconds


def rate(text: str) -> float:
    """A number a second, above 0."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0.001 <= found <= 1_000_000:
        raise ValueError("has to be a number from 0.001 to 1000000")
    return found


def networks(text: str) -> tuple[addresses.Network, ...]:
    """Addresses and networks with commas between."""
    try:
        return addresses.networks(words(text))
    except ValueError as error:
        raise ValueError(
            f"has to list addresses and networks such as 10.0.0.0/8: {error}"
        ) from None


def header(text: str) -> str:
    """The name of a header, in lower case."""
    if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", text, re.ASCII):
        raise ValueError("has to be the name of a header such as X-Forwarded-For")
    return text.lower()


def name(text: str) -> str:
    """The name of a column or claim, or nothing."""
    if text and not text.isidentifier():
        raise ValueError("has to be a plain name")
    return text


def one_of(*known: str) -> Callable[[str], str]:
    """One of these words."""

    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"has to be {' or '.join(known)}")
        return text

    return parse


@dataclass(frozen=True)
class Variable:
    """One variable; `default` is None when it has to be set. Values of secrets are never shown."""

    name: str
    default: str | None
    help: str
    parse: Callable[[str], Any] = plain
    secret: bool = False

    def read(self, env: Mapping[str, str]) -> Any:
        """Its value in `env`, where an empty one counts as not set.

        Raises:
            SettingsError: it is missing or has a bad value.
        """
        text = env.get(self.name, "").strip() or self.default
        if text is None:
            raise SettingsError(f"{self.name} is not set: it is {self.help}")
        try:
            return self.parse(text)
        except ValueError as error:
            shown = "" if self.secret else f" is {text!r}: it"
            raise SettingsError(f"{self.name}{shown} {error}") from None


VARIABLES: Final = (
    Variable("SUPABASE_URL", None, "the address of the Supabase project", project_url),
    Variable("SUPABASE_SECRET_KEY", "", "the secret key of the project", secret, secret=True),
    Variable(
        "SUPABASE_PUBLISHABLE_KEY",
        "",
        "the publishable key of the project, which commands are sent with",
        secret,
        secret=True,
    ),
    Variable(
        "RELAY_SUPABASE_KEY",
        "",
        "a key with less rights than the secret one, for the relay alone",
        secret,
        secret=True,
    ),
    Variable(
        "RELAY_REALTIME_URL", "", "the address of Realtime; SUPABASE_URL/realtime/v1 if empty", url
    ),
    Variable(
        "RELAY_LIVE",
        "auto",
        "how changes arrive live: auto, broadcast, postgres_changes",
        one_of("auto", "broadcast", "postgres_changes"),
    ),
    Variable("LOG_FORMAT", "text", "format of log lines: text, json", one_of("text", "json")),
    Variable("HOST", "127.0.0.1", "the address to listen on"),
    Variable("PORT", "8003", "the port to listen on; 0 takes a free one", whole(0, 65535)),
    Variable(
        "RELAY_AUTH",
        "required",
        "who may connect: required asks for a user's token, off lets everybody in",
        one_of("required", "off"),
    ),
    Variable(
        "RELAY_ALLOW_PUBLIC_WITHOUT_AUTH",
        "no",
        "yes lets a relay without access control listen on more than this machine",
        one_of("no", "yes"),
    ),
    Variable(
        "SUPABASE_JWT_SECRET",
        "",
        "the secret of a project that still signs tokens with HS256",
        secret=True,
    ),
    Variable(
        "RELAY_JWT_ISSUER", "", "who has to have issued a token; SUPABASE_URL/auth/v1 if empty"
    ),
    Variable("RELAY_JWT_AUDIENCE", "authenticated", "whom a token has to be meant for"),
    Variable(
        "RELAY_SCOPE_COLUMN",
        "",
        "the column of all three tables that says whose a row is, where not everybody sees all",
        name,
    ),
    Variable(
        "RELAY_SCOPE_CLAIM",
        "",
        "where in app_metadata a token lists its scopes; RELAY_SCOPE_COLUMN if empty",
        name,
    ),
    Variable(
        "RELAY_TRUSTED_PROXIES",
        "",
        "proxies that say truly whom they forward for, as addresses or networks with commas",
        networks,
    ),
    Variable(
        "RELAY_CLIENT_ADDRESS_HEADER",
        "X-Forwarded-For",
        "the header in which these proxies say for whom; they have to set it or add to it",
        header,
    ),
    Variable("RELAY_MAX_CONNECTIONS", "12000", "connections of one process", whole(1, 1_000_000)),
    Variable(
        "RELAY_MAX_PER_ADDRESS",
        "200",
        "connections from one address, which may be this machine's",
        whole(1, 1_000_000),
    ),
    Variable("RELAY_MAX_PER_USER", "50", "connections of one user", whole(1, 1_000_000)),
    Variable(
        "RELAY_CONNECTS_PER_SECOND",
        "20",
        "new connections per second from one address, burst 5 x",
        rate,
    ),
    Variable("RELAY_AUTH_SECONDS", "10", "seconds that a client may take for its token", seconds),
    Variable(
        "RELAY_MESSAGES_PER_SECOND",
        "5",
        "client messages per second, burst 10 x",
        rate,
    ),
    Variable("RELAY_TLS_CERT", "", "the file with the certificate, for https and wss"),
    Variable("RELAY_TLS_KEY", "", "the file with the certificate's private key"),
    Variable(
        "RELAY_LOCAL_TOKEN", "", "the user token of commands that bring none", secret, secret=True
    ),
    Variable(
        "RELAY_ALLOWED_ORIGINS",
        "",
        "origins of pages that may use the relay beside its own, with commas: https://a.example,"
        " https://*.example, http://localhost:*, capacitor://localhost, null, or * for all",
        origins,
    ),
    Variable(
        "RELAY_CURSOR_KEY",
        "",
        "what cursors are signed with, the same for all relays; the relay's Supabase key if empty",
        secret=True,
    ),
    Variable("RELAY_CATCH_UP_SECONDS", "5", "seconds between reads of what Realtime lost", seconds),
    Variable(
        "RELAY_RESUME_SECONDS",
        "86400",
        "how old a cursor may be, in seconds",
        whole(1, 30 * 86400),
    ),
    Variable(
        "RELAY_RESUME_ROWS",
        "200000",
        "changes that a resuming client may have missed when the database has to be asked",
        whole(1000, 1_000_000),
    ),
    Variable(
        "RELAY_COMPRESSION",
        "off",
        "whether messages are compressed for clients that offer permessage-deflate: off, on",
        one_of("off", "on"),
    ),
    Variable(
        "RELAY_IO_URING",
        "auto",
        "whether one system call sends to all clients, where the kernel offers io_uring: auto, off",
        one_of("auto", "off"),
    ),
    Variable(
        "RELAY_MAX_BEHIND_BYTES",
        "8388608",
        "bytes that a slow client may be behind",
        whole(65536, 2**30),
    ),
    Variable(
        "RELAY_LOG_BYTES",
        "",
        "bytes that the logs of all endpoints take; four times RELAY_MAX_BEHIND_BYTES if empty",
        bytes_or_nothing,
    ),
)


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
    log_format: str = "text"

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
            log_format=values["LOG_FORMAT"],
        )


def _gateway_key(values: Mapping[str, Any], key: str) -> str:
    if not is_jwt(values["RELAY_SUPABASE_KEY"]):
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
        if key_role(values[name]) == "anon":
            raise SettingsError(
                f"{name} holds the publishable (or anon) key: it has to be the secret key"
                " (sb_secret_..., or the legacy service_role key) from the project's API settings"
            )
    if key_role(values["SUPABASE_PUBLISHABLE_KEY"]) not in (None, "anon"):
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
