"""Settings of the worker: every variable with its default and its meaning, in one place."""

from __future__ import annotations

import base64
import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from worker.kilograms.countries import alpha3
from worker.severity import Thresholds

# As difflib measures how much two names have in common. The relay does the same with its names.
NEAR_MISS = 0.9
LOOKS_LIKE = 0.85
REST_ALIKE = 0.6  # of names that begin with a prefix of ours, what follows on it

PREFIXES = ("WORKER_", "SUPABASE_")
# What projects call the secret key elsewhere, and what of the same project the relay reads.
ALSO = dict.fromkeys(
    ("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SERVICE_KEY", "SUPABASE_KEY"), "SUPABASE_SECRET_KEY"
)
OF_THE_RELAY = ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY", "SUPABASE_JWT_SECRET")
KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT)|_PORT(_\d+_(TCP|UDP|SCTP)|$)")


class SettingsError(Exception):
    """A variable is missing or wrong; the text names it and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the worker needs to know. Times are in seconds."""

    supabase_url: str
    secret_key: str = field(repr=False)
    realtime_url: str
    scan_seconds: float
    poll_seconds: float
    lease_seconds: int
    retry_seconds: float
    grace_seconds: float
    batch_events: int
    keep_days: float
    thresholds: Thresholds
    least_kg: float
    calm: bool
    cooldown_hours: float
    clock: str
    timezone: tzinfo
    grid_country: str | None
    factor_files: tuple[Path, ...]
    log_level: str
    log_format: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read the variables of VARIABLES. Raises SettingsError."""
        _check_names(env)
        values = {variable.name: variable.read(env) for variable in VARIABLES}
        supabase_url = values["SUPABASE_URL"]
        try:
            thresholds = Thresholds(
                values["WORKER_INFO_RATIO"],
                values["WORKER_WARN_RATIO"],
                values["WORKER_CRITICAL_RATIO"],
            )
        except ValueError as exc:
            raise SettingsError(
                f"WORKER_INFO_RATIO, WORKER_WARN_RATIO, WORKER_CRITICAL_RATIO: {exc}"
            ) from exc
        return cls(
            supabase_url=supabase_url,
            secret_key=values["SUPABASE_SECRET_KEY"],
            realtime_url=values["WORKER_REALTIME_URL"] or f"{supabase_url}/realtime/v1",
            scan_seconds=values["WORKER_SCAN_SECONDS"],
            poll_seconds=values["WORKER_POLL_SECONDS"],
            lease_seconds=values["WORKER_LEASE_SECONDS"],
            retry_seconds=values["WORKER_RETRY_SECONDS"],
            grace_seconds=values["WORKER_GRACE_SECONDS"],
            batch_events=values["WORKER_BATCH_EVENTS"],
            keep_days=values["WORKER_KEEP_DAYS"],
            thresholds=thresholds,
            least_kg=values["WORKER_LEAST_KG"],
            calm=values["WORKER_CALM"],
            cooldown_hours=values["WORKER_COOLDOWN_HOURS"],
            clock=values["WORKER_CLOCK"],
            timezone=values["WORKER_TIMEZONE"],
            grid_country=values["GRID_COUNTRY"],
            factor_files=values["FACTORS_FILE"],
            log_level=values["WORKER_LOG_LEVEL"],
            log_format=values["LOG_FORMAT"],
        )


def _check_names(env: Mapping[str, str]) -> None:
    """Refuse what is meant to be a variable of ours; others may begin with WORKER_ too."""
    known = [variable.name for variable in VARIABLES]
    for name in sorted(env):
        if name in known or not name.upper().startswith("WORKER_"):
            continue
        if near := get_close_matches(name.upper(), known, n=1, cutoff=NEAR_MISS):
            raise SettingsError(f"{name} is not a variable that is read: is {near[0]} meant?")


def misspelt(env: Mapping[str, str]) -> list[str]:
    """Give warnings of names that nothing reads, each near one that is read and not set."""
    names = [variable.name for variable in VARIABLES]
    found = []
    for name in sorted(env):
        if name in names or name in OF_THE_RELAY or KUBERNETES.search(name):
            continue
        meant = _meant(name.upper(), names)
        if meant is not None and not env.get(meant):
            found.append(f"nothing reads {name}: is {meant} meant?")
    return found


def _meant(name: str, names: Sequence[str]) -> str | None:
    prefix = next((each for each in PREFIXES if name.startswith(each)), None)
    if prefix is None:
        known = {each: each for each in names}
        near = get_close_matches(name, known, n=1, cutoff=LOOKS_LIKE)
    else:
        known = {each: each for each in names} if prefix == "WORKER_" else {}
        known |= {each.removeprefix(prefix): each for each in names if each.startswith(prefix)}
        known |= {other.removeprefix(prefix): each for other, each in ALSO.items()}
        near = get_close_matches(name.removeprefix(prefix), known, n=1, cutoff=REST_ALIKE)
    return known[near[0]] if near else None


def _key(text: str) -> str:
    # It travels in a header; the library's own error would show it.
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("has characters that no key has")
    if text.startswith("sb_publishable_") or _role(text) == "anon":
        # The relay says the same, see relay/settings.
        raise ValueError(
            "holds the publishable (or anon) key: it has to be the secret key"
            " (sb_secret_..., or the legacy service_role key) from the project's API settings"
        )
    return text


def _role(key: str) -> object:
    """The role that a key of the older kind, a JWT, names."""
    try:
        _, body, _ = key.split(".")
        return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["role"]
    except (ValueError, KeyError, TypeError):
        return None


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or not _port_fits(parts):
        raise ValueError("must be an address such as https://abc.supabase.co")
    return text.rstrip("/")


def _project_url(text: str) -> str:
    found = _url(text)
    parts = urlsplit(found)
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        # The relay says the same, see relay/settings.
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


def _optional_url(text: str) -> str:
    return _url(text) if text else ""


def _seconds(text: str) -> float:
    return _number(text, 0.1, 86_400)


def _days(text: str) -> float:
    return _number(text, 0, 36_500)


def _ratio(text: str) -> float:
    return _number(text, 1, 1000)


def _number(text: str, low: float, high: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise ValueError(f"must be a number from {low:g} to {high:g}")
    return number


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _kilograms(text: str) -> float:
    return _number(text, 0, 1e9)


def _hours(text: str) -> float:
    return _number(text, 0, 8760)


def _yes(text: str) -> bool:
    if text.lower() not in ("yes", "no"):
        raise ValueError("must be yes or no")
    return text.lower() == "yes"


def _clock(text: str) -> str:
    if text not in ("wall", "events"):
        raise ValueError("must be wall or events")
    return text


def _timezone(text: str) -> tzinfo:
    if text.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("must be a time zone such as Europe/Berlin") from None


def _country(text: str) -> str | None:
    return alpha3(text) if text else None


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in text.split(os.pathsep) if part)


def _log_format(text: str) -> str:
    if text not in ("text", "json"):
        raise ValueError("has to be text or json")
    return text


def _log_level(text: str) -> str:
    if text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
    return text.upper()


@dataclass(frozen=True)
class Variable:
    """One variable; `default` is None when it has to be set. `secret` values are never shown."""

    name: str
    default: str | None
    help: str
    parse: Callable[[str], Any]
    secret: bool = False

    def read(self, env: Mapping[str, str]) -> Any:
        """Parse the variable; an empty one counts as not set. Raises SettingsError."""
        text = env.get(self.name, "").strip() or self.default
        if text is None:
            raise SettingsError(f"{self.name} is not set: it is the {self.help}")
        try:
            return self.parse(text)
        except ValueError as exc:
            shown = "" if self.secret else f" is {text!r}: it"
            raise SettingsError(f"{self.name}{shown} {exc}") from exc


VARIABLES = (
    Variable("SUPABASE_URL", None, "address of the Supabase project", _project_url),
    Variable(
        "SUPABASE_SECRET_KEY",
        None,
        "secret key (sb_secret_...) or legacy service_role key of the project",
        _key,
        secret=True,
    ),
    Variable(
        "WORKER_REALTIME_URL",
        "",
        "address of Realtime, SUPABASE_URL/realtime/v1 if empty",
        _optional_url,
    ),
    Variable("WORKER_SCAN_SECONDS", "300", "seconds from one scheduled scan to the next", _seconds),
    Variable("WORKER_POLL_SECONDS", "5", "seconds between looks for work not announced", _seconds),
    Variable(
        "WORKER_LEASE_SECONDS",
        "15",
        "seconds after which a silent worker's scan may be taken over",
        _whole(1, 3600),
    ),
    Variable("WORKER_RETRY_SECONDS", "20", "seconds to repeat a call that fails", _seconds),
    Variable("WORKER_GRACE_SECONDS", "10", "seconds to finish a batch when stopped", _seconds),
    Variable("WORKER_BATCH_EVENTS", "4000", "events judged and committed at once", _whole(1, 4000)),
    Variable("WORKER_KEEP_DAYS", "0", "days after which what is over is deleted, 0: never", _days),
    Variable("WORKER_INFO_RATIO", "1.1", "predicted / baseline from which on it is info", _ratio),
    Variable("WORKER_WARN_RATIO", "1.3", "predicted / baseline from which on it is warn", _ratio),
    Variable(
        "WORKER_CRITICAL_RATIO", "1.5", "predicted / baseline from which on it is critical", _ratio
    ),
    Variable("WORKER_LEAST_KG", "0", "excess in kg CO2e below which no event is hot", _kilograms),
    Variable(
        "WORKER_CALM",
        "no",
        "yes: info and warn open when two of the last three events are hot, critical at once",
        _yes,
    ),
    Variable(
        "WORKER_COOLDOWN_HOURS",
        "24",
        "hours of event time in which a key is not told of the same severity again",
        _hours,
    ),
    Variable(
        "WORKER_CLOCK",
        "wall",
        "wall, or events: the newest event time tells history and silence",
        _clock,
    ),
    Variable("WORKER_TIMEZONE", "UTC", "time zone of days and weekdays", _timezone),
    Variable(
        "GRID_COUNTRY",
        "",
        "country (ISO 3166, e.g. DE) of the electricity of events without one",
        _country,
    ),
    Variable(
        "FACTORS_FILE",
        "",
        "CSV files of own emission factors, separated like PATH",
        _paths,
    ),
    Variable("WORKER_LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR", _log_level),
    Variable("LOG_FORMAT", "text", "format of log lines: text or json", _log_format),
)
