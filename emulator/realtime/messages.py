"""Broadcasts out of the stream of realtime.messages."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from emulator.realtime.broadcasts import MAX_PAYLOAD_BYTES, Enveloped
from emulator.realtime.pgoutput import Insert, Message, Relation

logger = logging.getLogger(__name__)

PUBLICATION = "supabase_realtime_messages_publication"


@dataclass(frozen=True, slots=True)
class Stored:
    """A committed row of realtime.messages."""

    topic: str
    private: bool
    broadcast: Enveloped


@dataclass(slots=True)
class Messages:
    """Joins the messages of the stream to rows; one for each stream."""

    columns: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def stored(self, message: Message) -> Stored | None:
        """The row that `message` inserts; None for all else, and for what cannot be broadcast.

        Like the real server it says nothing to anybody about a row that is too large or incomplete.
        """
        match message:
            case Relation():
                self.columns[message.oid] = tuple(column.name for column in message.columns)
            case Insert(oid, new):
                values = dict(zip(self.columns[oid], new, strict=True))
                return _stored({k: v for k, v in values.items() if isinstance(v, str)})
            case _:
                pass
        return None


def _stored(row: dict[str, str]) -> Stored | None:
    if not {"event", "id", "topic", "private"} <= row.keys():
        logger.warning("row not broadcast reason=%r", "it lacks event or privacy")
        return None
    body: str | bytes | None = row.get("payload")
    if "binary_payload" in row:
        body = bytes.fromhex(row["binary_payload"].removeprefix("\\x"))
    if body is None:
        logger.warning("row not broadcast reason=%r", "it has no payload")
        return None
    broadcast = Enveloped(row["event"], body, row["id"])
    if broadcast.size() > MAX_PAYLOAD_BYTES:
        logger.warning("row not broadcast reason=%r", "it is too large")
        return None
    return Stored(row["topic"], row["private"] == "t", broadcast)
