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
    cold_join_ms: float = 1_400  # the same for whoever starts the poller, in addition
    token_ms: float = 2_000  # until a new access token counts
    connect_refusal_ms: float = 2_000
    join_refusal_ms: float = 5_000  # nothing else leaves the socket meanwhile
    poll_seconds: float = 15  # a poll that takes longer is lost, with the stream
    poll_retry_ms: float = 100  # first pause after a lost poll
    reconnect_ms: float = 500  # first pause before a new stream of changes
    longest_reconnect_ms: float = 30_000
    # From the first join to the stream of broadcasts; None streams from the start, as for a tenant
    # that somebody has used before.
    cold_broadcast_ms: float | None = 120
    broadcast_reconnect_ms: float = 12_000
    replication_check_ms: float = 500  # between looks whether that stream is there
    replication_ready_seconds: float = 60
    give_up_seconds: float = 60  # without a stream: then all subscriptions are forgotten
    unsubscribe_ms: float = 13_000  # so long the policies are asked for who has left
    publication_ms: float = 60_000  # between looks at what is published
    database_ms: float = 10_000  # how long one waits for a connection
    tenant_seconds: float = 30  # so long sockets are accepted without a database
    rate_limit: float | None = None  # events a second, on average
    rate_tick_seconds: float = 1  # the window has 60 of them
    idle_seconds: float = 66
    max_channels: int = 100
    max_queued_frames: int = 20_000
    max_queued_bytes: int = 64 * 1024 * 1024

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
            cold_join_ms=_milliseconds(env, "EMULATOR_COLD_JOIN_MS", cls.cold_join_ms),
            cold_broadcast_ms=_milliseconds(
                env, "EMULATOR_COLD_BROADCAST_MS", cls.cold_broadcast_ms or 0
            ),
            rate_limit=_rate(env, "EMULATOR_RATE_LIMIT"),
        )

    @classmethod
    def prompt(cls) -> RealtimeSettings:
        """Without any imitated delay, for tests."""
        return cls(
            poll_ms=0,
            join_ms=0,
            cold_join_ms=0,
            cold_broadcast_ms=None,
            token_ms=0,
            connect_refusal_ms=0,
            join_refusal_ms=0,
            poll_retry_ms=0,
            reconnect_ms=100,
            longest_reconnect_ms=1_000,
            broadcast_reconnect_ms=100,
            replication_check_ms=10,
            unsubscribe_ms=0,
        )


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


def _rate(env: Mapping[str, str], name: str) -> float | None:
    text = env.get(name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 < value < 1_000_000_000:
        raise SettingsError(
            f"{name} is {text!r}: give events a second over 0; the real one has 100"
        )
    return value
