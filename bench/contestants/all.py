"""Everybody who takes part."""

from __future__ import annotations

from typing import Final

from bench.contestant import Contestant
from bench.contestants.debian import MQTT, NATS_SERVER, NCHAN
from bench.contestants.floor import Floor
from bench.contestants.javascript import BUN, SOCKETIO, WS
from bench.contestants.python import NAIVE, PICOWS, WEBSOCKETS
from bench.contestants.relay import Relay

RELAY: Final = Relay()
WITH_TOKENS: Final = Relay(tokens="ES256")  # in its place where tokens are asked for
FLOOR: Final = Floor("send")
CONTESTANTS: Final[tuple[Contestant, ...]] = (
    FLOOR,
    RELAY,
    Floor("join"),
    BUN,
    NCHAN,
    NATS_SERVER,
    PICOWS,
    MQTT,
    WEBSOCKETS,
    WS,
    SOCKETIO,
    NAIVE,
)
