"""What a join asks for beside database changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """`to_self`: the channel hears its own broadcasts; `acknowledge`: they are answered."""

    private: bool = False
    to_self: bool = False
    acknowledge: bool = False
    replication_ready: bool = False
    presence: bool = False

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Options:
        """The options in the payload of a join; what is no object or truth value counts as off."""
        config = _object(payload.get("config"))
        broadcast, presence = _object(config.get("broadcast")), _object(config.get("presence"))
        return cls(
            private=_true(config.get("private")),
            to_self=_true(broadcast.get("self")),
            acknowledge=_true(broadcast.get("ack")),
            replication_ready=_true(broadcast.get("replication_ready")),
            presence=_true(presence.get("enabled")),
        )


def missing(payload: Mapping[str, Any]) -> str | None:
    """What a join asks for that this emulator has not; None when it has all of it."""
    if "config" not in payload:
        return "a join without config is not imitated by this emulator"
    if _object(_object(payload["config"]).get("broadcast")).get("replay"):
        return "broadcast option replay is not imitated by this emulator"
    return None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")
