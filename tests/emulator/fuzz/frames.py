"""Made-up frames for Realtime: messages of both protocol versions, and bytes."""

from __future__ import annotations

import struct
from typing import Any

from tests.emulator.fuzz.words import OPERATORS, TABLES, Words

EVENTS = [
    *("phx_join", "phx_join", "phx_join", "phx_leave", "heartbeat", "access_token", "broadcast"),
    *("presence", "system", "phx_reply", "postgres_changes"),
]


def message(words: Words, version: str, keys: list[str]) -> Any:
    """A message, well formed but for what is in it."""
    topic = words.choice(("phoenix", "realtime:a", "realtime:b", "realtime:", words.text()))
    event = words.choice(EVENTS) if words.random() < 0.9 else words.text()
    payload = _payload(words, event, keys) if words.random() < 0.9 else words.value()
    refs = [words.choice(("1", "2", None, 7, words.text())) for _ in range(2)]
    if words.random() < 0.05:
        return words.value()
    if version == "2.0.0":
        return [*refs, topic, event, payload]
    return dict(zip(("ref", "join_ref"), refs, strict=True)) | {
        "topic": topic,
        "event": event,
        "payload": payload,
    }


def _payload(words: Words, event: str, keys: list[str]) -> Any:
    token = words.choice([*keys, words.text()])
    if event == "access_token":
        return {"access_token": words.choice((token, words.value()))}
    if event == "broadcast":
        return {"type": "broadcast", "event": words.text(), "payload": words.value()}
    if event != "phx_join":
        return words.value()
    config: dict[str, Any] = {
        "broadcast": {"self": True, "ack": words.random() < 0.5},
        "presence": {"key": words.text(), "enabled": words.random() < 0.1},
        "private": words.random() < 0.2,
        "postgres_changes": [_binding(words) for _ in range(words.randrange(3))],
    }
    if words.random() < 0.2:
        config[words.choice(list(config))] = words.value()
    return {"config": config} | ({"access_token": token} if words.random() < 0.5 else {})


def _binding(words: Words) -> Any:
    if words.random() < 0.1:
        return words.value()
    column = words.choice(("id", "name", "mood", words.text()))
    return {
        "event": words.choice(("*", "INSERT", "UPDATE", words.text())),
        "schema": words.choice(("public", "public", "*", words.text())),
        "table": words.choice(TABLES) if words.random() < 0.8 else words.text(),
        "filter": f"{column}={words.choice(OPERATORS)}.{words.text()}",
    }


def raw(words: Words, content: bytes) -> bytes:
    """A WebSocket frame with some of its rules broken, or no frame at all."""
    if words.random() < 0.3:
        return words.randbytes(1 + words.randrange(40))
    first = words.choice((0x81, 0x82, 0x80, 0x01, 0x88, 0x89, 0x8A, 0xC1, 0xF1, 0x83, 0x8F))
    length = len(content) if words.random() < 0.8 else words.choice((0, 2**15, 2**63, 126))
    masked = 0x80 if words.random() < 0.9 else 0
    if length < 126:
        head = struct.pack("!BB", first, masked | length)
    elif length < 2**16:
        head = struct.pack("!BBH", first, masked | 126, length)
    else:
        head = struct.pack("!BBQ", first, masked | 127, length)
    mask = words.randbytes(4)
    covered = bytes(byte ^ mask[i % 4] for i, byte in enumerate(content))
    return head + (mask + covered if masked else content)
