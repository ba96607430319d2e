"""Everything that can be set, as one frozen value built from a mapping."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import SplitResult, urlsplit

from relay.errors import SettingsError

NO_ACCESS_CONTROL: Final = (
    "anyone who reaches the port may read everything, since access control is not there yet"
)


def _text(text: str) -> str:
    return text


def _secret(text: str) -> str:
    # It travels in a header; the library's own error would show it.
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("has characters that no key has")
    return text


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _url(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise ValueError("has to begin with http:// or https:// and name a host")
    if not _port_fits(parts):
        raise ValueError("names a port that cannot be")
    return text.rstrip("/")


def _port_fits(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _loopback(text: str) -> str:
    try:
        loopback = text == "localhost" or ipaddress.ip_address(text).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(f"has to be a loopback address such as 127.0.0.1: {NO_ACCESS_CONTROL}")
    return text


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"has to be a whole number from {least} to {most}")
        return int(text)

    return parse


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise ValueError("has to be a number of seconds from 0.1 to 3600")
    return seconds


def _one_of(*known: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"has to be {' or '.join(known)}; this version knows nothing else")
        return text

    return parse


@dataclass(frozen=True)
class Variable:
    """One variable; `default` is None when it has to be set. Values of secrets are never shown."""

    name: str
    default: str | None
    help: str
    parse: Callable[[str], Any] = _text
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
    Variable("SUPABASE_URL", None, "the address of the Supabase project", _url),
    Variable("SUPABASE_SECRET_KEY", "", "the secret key of the project", _secret, secret=True),
    Variable(
        "SUPABASE_PUBLISHABLE_KEY",
        "",
        "the publishable key of the project, which commands are sent with",
        _secret,
        secret=True,
    ),
    Variable(
        "RELAY_SUPABASE_KEY",
        "",
        "a key with less rights than the secret one, for the relay alone",
        _secret,
        secret=True,
    ),
    Variable(
        "RELAY_REALTIME_URL", "", "the address of Realtime; SUPABASE_URL/realtime/v1 if empty", _url
    ),
    Variable(
        "RELAY_LIVE",
        "auto",
        "how changes arrive live: auto, broadcast, postgres_changes",
        _one_of("auto", "broadcast", "postgres_changes"),
    ),
    Variable("HOST", "127.0.0.1", "the address to listen on", _loopback),
    Variable("PORT", "8003", "the port to listen on; 0 takes a free one", _whole(0, 65535)),
    Variable("RELAY_AUTH", "off", "who may connect: off lets everybody in", _one_of("off")),
    Variable(
        "RELAY_LOCAL_TOKEN", "", "the user token of commands that bring none", _secret, secret=True
    ),
    Variable(
        "RELAY_ALLOWED_ORIGINS",
        "",
        "origins of pages that may use the relay, besides this machine's, separated by commas",
        _words,
    ),
    Variable(
        "RELAY_CURSOR_KEY",
        "",
        "what cursors are signed with, the same for all relays; the relay's Supabase key if empty",
        secret=True,
    ),
    Variable(
        "RELAY_CATCH_UP_SECONDS", "5", "seconds between reads of what Realtime lost", _seconds
    ),
    Variable(
        "RELAY_RESUME_SECONDS",
        "86400",
        "how old a cursor may be, in seconds",
        _whole(1, 30 * 86400),
    ),
    Variable(
        "RELAY_RESUME_ROWS",
        "200000",
        "changes that a resuming client may have missed when the database has to be asked",
        _whole(1000, 1_000_000),
    ),
    Variable(
        "RELAY_MAX_BEHIND_BYTES",
        "8388608",
        "bytes that a slow client may be behind",
        _whole(65536, 2**30),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one relay process; keys and tokens stay out of its repr."""

    supabase_url: str
    realtime_url: str
    supabase_key: str = field(repr=False)
    publishable_key: str = field(repr=False)
    local_token: str | None = field(default=None, repr=False)
    cursor_key: str | None = field(default=None, repr=False)
    host: str = "127.0.0.1"
    port: int = 8003
    allowed_origins: tuple[str, ...] = ()
    catch_up_seconds: float = 5.0
    live: str = "auto"
    resume_seconds: int = 86400
    resume_rows: int = 200_000
    max_behind_bytes: int = 8 * 1024 * 1024

    @property
    def log_bytes(self) -> int:
        """How much each log of frames keeps: what a client may be behind, several times."""
        return 4 * self.max_behind_bytes

    @classmethod
    def from_env(
        cls, env: Mapping[str, str], *, host: str | None = None, port: int | None = None
    ) -> Self:
        """The settings that `env` describes; `host` and `port` outrank it.

        Raises:
            SettingsError: a variable is missing or has a bad value; the text names it.
        """
        given = dict(env) | ({"HOST": host} if host else {})
        given |= {} if port is None else {"PORT": str(port)}
        values = {variable.name: variable.read(given) for variable in VARIABLES}
        key = values["RELAY_SUPABASE_KEY"] or values["SUPABASE_SECRET_KEY"]
        if not key:
            raise SettingsError(
                "SUPABASE_SECRET_KEY is not set: take the secret key from the project's API"
                " settings, or give the relay a key of its own in RELAY_SUPABASE_KEY"
            )
        url = values["SUPABASE_URL"]
        return cls(
            supabase_url=url,
            realtime_url=values["RELAY_REALTIME_URL"] or f"{url}/realtime/v1",
            supabase_key=key,
            publishable_key=values["SUPABASE_PUBLISHABLE_KEY"],
            local_token=values["RELAY_LOCAL_TOKEN"] or None,
            cursor_key=values["RELAY_CURSOR_KEY"] or None,
            host=values["HOST"],
            port=values["PORT"],
            allowed_origins=values["RELAY_ALLOWED_ORIGINS"],
            catch_up_seconds=values["RELAY_CATCH_UP_SECONDS"],
            live=values["RELAY_LIVE"],
            resume_seconds=values["RELAY_RESUME_SECONDS"],
            resume_rows=values["RELAY_RESUME_ROWS"],
            max_behind_bytes=values["RELAY_MAX_BEHIND_BYTES"],
        )
