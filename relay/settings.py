"""Everything that can be set, as one frozen value built from a mapping."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from relay.errors import SettingsError


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
    max_behind_bytes: int = 8 * 1024 * 1024
    log_bytes: int = 32 * 1024 * 1024

    @classmethod
    def from_env(
        cls, env: Mapping[str, str], *, host: str | None = None, port: int | None = None
    ) -> Self:
        """The settings that `env` describes; `host` and `port` outrank it.

        Raises:
            SettingsError: a variable is missing or has a bad value.
        """
        url = _url(env, "SUPABASE_URL", "the address of the Supabase project or of the emulator")
        key = env.get("RELAY_SUPABASE_KEY") or env.get("SUPABASE_SECRET_KEY")
        if not key:
            raise SettingsError(
                "SUPABASE_SECRET_KEY is not set: take the secret key from the project's API"
                " settings, or give the relay a key of its own in RELAY_SUPABASE_KEY"
            )
        realtime = "SUPABASE_REALTIME_URL"
        _check_auth(env.get("RELAY_AUTH") or "off")
        _check_live(env.get("RELAY_LIVE") or "auto")
        max_behind_bytes = _integer(env, "RELAY_MAX_BEHIND_BYTES", cls.max_behind_bytes, 64 * 1024)
        settings = cls(
            supabase_url=url,
            realtime_url=(
                _url(env, realtime, "the address of Realtime, ending in /realtime/v1")
                if env.get(realtime)
                else f"{url}/realtime/v1"
            ),
            supabase_key=key,
            publishable_key=env.get("SUPABASE_PUBLISHABLE_KEY") or "",
            local_token=env.get("RELAY_LOCAL_TOKEN") or None,
            cursor_key=env.get("RELAY_CURSOR_KEY") or None,
            host=host or env.get("HOST") or cls.host,
            port=_integer(env, "PORT", cls.port, 0, 65535) if port is None else port,
            allowed_origins=_words(env.get("RELAY_ALLOWED_ORIGINS", "")),
            catch_up_seconds=_seconds(env, "RELAY_CATCH_UP_SECONDS", cls.catch_up_seconds),
            max_behind_bytes=max_behind_bytes,
            log_bytes=max(4 * max_behind_bytes, cls.log_bytes),
        )
        _check_host(settings.host)
        return settings


def _check_auth(auth: str) -> None:
    if auth != "off":
        raise SettingsError(
            f"RELAY_AUTH is {auth!r}: access control is not there yet, only 'off' works"
        )


def _check_live(live: str) -> None:
    if live not in ("auto", "postgres_changes"):
        raise SettingsError(
            f"RELAY_LIVE is {live!r}: this version knows 'auto' and 'postgres_changes'"
        )


def _check_host(host: str) -> None:
    if host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise SettingsError(
            f"HOST is {host!r}, which is not a loopback address: with RELAY_AUTH=off anyone who"
            " reaches the port may read everything, and access control is not there yet."
            " Use 127.0.0.1"
        )


def _url(env: Mapping[str, str], name: str, meaning: str) -> str:
    value = env.get(name, "").rstrip("/")
    if not value:
        raise SettingsError(f"{name} is not set: it is {meaning}")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SettingsError(f"{name} is not an http or https address: it is {meaning}")
    return value


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _integer(env: Mapping[str, str], name: str, default: int, least: int, most: int = 2**40) -> int:
    value = env.get(name)
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise SettingsError(f"{name} is {value!r}: give a whole number") from None
    if not least <= number <= most:
        raise SettingsError(f"{name} is {number}: give {least} to {most}")
    return number


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    value = env.get(name)
    if not value:
        return default
    try:
        seconds = float(value)
    except ValueError:
        raise SettingsError(f"{name} is {value!r}: give a number of seconds") from None
    if not 0.1 <= seconds <= 3600:
        raise SettingsError(f"{name} is {value}: give 0.1 to 3600 seconds")
    return seconds
