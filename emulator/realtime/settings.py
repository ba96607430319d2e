"""Settings of the emulated Realtime; the defaults are what the real server was seen to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class SettingsError(Exception):
    """A variable has a value that cannot be used; the message names it and the remedy."""


@dataclass(frozen=True, kw_only=True)
class RealtimeSettings:
    """Times in milliseconds unless the name says seconds; `poll_ms` 0 delivers at once."""

    publication: str = "supabase_realtime"
    poll_ms: float = 100
    max_changes_per_poll: int = 100
    join_ms: float = 10  # between the reply to a join and "Subscribed to PostgreSQL"
    token_ms: float = 2_000  # until a new access token counts
    connect_refusal_ms: float = 2_000
    join_refusal_ms: float = 5_000  # nothing else leaves the socket meanwhile
    idle_seconds: float = 66
    max_channels: int = 100
    max_queued_frames: int = 20_000
    max_queued_characters: int = 64 * 1024 * 1024

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> RealtimeSettings:
        """The settings in `env`; raises SettingsError."""
        return cls(
            poll_ms=_milliseconds(env, "EMULATOR_POLL_MS", cls.poll_ms),
            join_ms=_milliseconds(env, "EMULATOR_JOIN_MS", cls.join_ms),
            token_ms=_milliseconds(env, "EMULATOR_TOKEN_MS", cls.token_ms),
            connect_refusal_ms=_milliseconds(
                env, "EMULATOR_CONNECT_REFUSAL_MS", cls.connect_refusal_ms
            ),
            join_refusal_ms=_milliseconds(env, "EMULATOR_JOIN_REFUSAL_MS", cls.join_refusal_ms),
        )

    @classmethod
    def prompt(cls) -> RealtimeSettings:
        """Without any imitated delay, for tests."""
        return cls(poll_ms=0, join_ms=0, token_ms=0, connect_refusal_ms=0, join_refusal_ms=0)


def _milliseconds(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 3_600_000:
        raise SettingsError(f"{name} is {text!r}: give milliseconds from 0 to 3600000")
    return value
