"""What can be set from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emulator.realtime.settings import RealtimeSettings, SettingsError

__all__ = ["HIGHEST_PORT", "Settings", "SettingsError"]

HIGHEST_PORT = 65535


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one emulator."""

    port: int = 8010  # EMULATOR_PORT; 0 takes a free one
    log_format: str = "text"  # LOG_FORMAT, or "json"
    pg_bin: Path | None = None  # PG_BIN, the directory of postgres and initdb; None: the wheel's
    realtime: RealtimeSettings = field(default_factory=RealtimeSettings)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Settings from `env`; empty values count as unset. Raises SettingsError."""
        port = _number(env, "EMULATOR_PORT", HIGHEST_PORT)
        pg_bin = env.get("PG_BIN")
        log_format = env.get("LOG_FORMAT") or cls.log_format
        if log_format not in ("text", "json"):
            raise SettingsError(f"LOG_FORMAT is text or json, not {log_format!r}")
        return cls(
            port=cls.port if port is None else port,
            log_format=log_format,
            pg_bin=Path(pg_bin) if pg_bin else None,
            realtime=RealtimeSettings.from_env(env),
        )


def _number(env: Mapping[str, str], name: str, highest: int) -> int | None:
    text = env.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) > highest:
        raise SettingsError(f"{name} takes a whole number from 0 to {highest}, not {text!r}")
    return int(text)
