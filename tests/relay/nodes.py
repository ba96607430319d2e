"""A relay in miniature around the real dedup, logs and history, and its clients."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.client import Replica
from relay.resume.initial_state import merge
from relay.stream import encoding
from relay.stream.broker import Broker
from relay.stream.change import HOTSPOTS, Change
from relay.stream.encoding import Format, framed, texts
from relay.stream.fan_out import Departure
from relay.stream.filters import Filter
from relay.stream.hub import Group, Hub
from relay.stream.log import LogLimits, Overflow
from relay.stream.snapshot import Seqs, Snapshot
from tests.relay.model import Database
from tests.relay.rows import text

LIMITS = LogLimits(max_frames=24)
NUMBER = HOTSPOTS.number


@dataclass(eq=False)
class Client:
    """What an application holds that follows the protocol."""

    wanted: Filter
    group: Group | None = None
    position: int = 0
    cursor: Snapshot | None = None
    seq: int | None = None
    home: "Node | None" = None  # where cursor and seq are from
    replica: Replica = field(default_factory=Replica)
    travelled: bool = False  # may know what the relay that it is on does not know yet

    @property
    def held(self) -> dict[int, Mapping[str, Any]]:
        """The rows by id."""
        return self.replica.rows

    def fell_behind(self, left: Departure) -> None:
        """Reads when the test says so."""

    def flushed(self) -> None:
        """Reads when the test says so."""

    def start_anew(self) -> None:
        """There is one history only."""

    def reset(self) -> None:
        """Discards everything."""
        self.replica, self.cursor, self.travelled = Replica(), None, False

    def take(self, frame: bytes, *, again: bool = False) -> None:
        """A frame; one that brings nothing new is a fault unless it may come `again`."""
        message = json.loads(text(frame))
        if message["type"] == "cursor":
            self.cursor = Snapshot.parse(message["cursor"])
            return
        self.seq = message["seq"] or self.seq
        if not self.replica.apply(message):
            assert again or self.travelled


@dataclass
class Reading:
    """A read for one client that is under way; `since` is its cursor, None for the state."""

    client: Client
    since: Snapshot | None
    seqs: Seqs
    before: dict[int, Change]
    accepted: int
    published: dict[int, Change]
    upto: Snapshot | None = None
    found: list[Change] | None = None


class Node:
    """One relay; every method is one step that the real one makes without a pause."""

    def __init__(self, database: Database, first_seq: int) -> None:
        self.database = database
        self.broker = Broker(Hub(LIMITS, first_seq))
        self.stream = self.broker.hub[HOTSPOTS]
        self.dedup, self.history = self.broker.deduplicators[NUMBER], self.broker.histories[NUMBER]
        self.broker.begin("epoch", database.snapshot(), self.broker.hub.seqs())
        self.live: list[Change] = []
        self.pages: list[Change] = []
        self.since: Snapshot | None = None
        self.upto: Snapshot | None = None
        self.sent_at: Seqs = {}
        self.readings: list[Reading] = []
        self.clients: list[Client] = []

    def begin_catch_up(self) -> None:
        """Sends the request."""
        since = self.since = self.dedup.reached
        assert since is not None
        self.sent_at = self.broker.hub.seqs()
        self.upto = self.database.snapshot()
        self.pages = self.database.changes_since(since, self.upto)

    def read_page(self, count: int) -> None:
        """Works an answer off; the last one completes the catch-up."""
        assert self.upto is not None
        # The next page is read later: it no longer holds what changed in between.
        newest = self.database.newest()
        page, self.pages = self.pages[:count], self.pages[count:]
        self.broker.take([change for change in page if newest[change.id] == change])
        if page and self.since is not None:
            self.dedup.reach(self.since.reached(self.upto, page[-1].tx))
        if self.pages:
            return
        self.broker.complete(NUMBER, self.upto, self.sent_at)
        snapshot = str(self.upto)
        self.stream.announce_cursors(lambda wanted: snapshot)
        self.upto = None

    def come(self, client: Client) -> None:
        """A client without a cursor."""
        client.reset()
        client.group = self.stream.join(Format.EVENTS, client.wanted, client)
        self.clients.append(client)
        self._start_reading(client, None)

    def come_back(self, client: Client) -> None:
        """A client with a cursor, and perhaps the last seq."""
        assert client.cursor is not None
        client.travelled |= client.home is not self
        client.group = self.stream.join(Format.EVENTS, client.wanted, client)
        self.clients.append(client)
        seq = client.seq if client.home is self else None
        if seq is None or not self._holds(seq):
            newest = self.dedup.snapshot
            assert newest is not None
            mark = self.history.best(client.cursor)
            ahead = client.cursor.xmax > newest.xmax
            seq = None if mark is None or ahead else mark.seq
        if seq is not None and self._holds(seq):
            self._replay(client, [], seq)
        else:
            self._start_reading(client, client.cursor)

    def leave(self, client: Client) -> None:
        """The client is gone."""
        assert client.group is not None
        self.stream.leave(client.group, client)
        self.clients.remove(client)
        for reading in [each for each in self.readings if each.client is client]:
            self.readings.remove(reading)
            self.stream.stop_recording(reading.published)

    def read(self, reading: Reading) -> None:
        """The database answers."""
        if reading.since is None:
            reading.found = [
                row
                for row in self.database.rows()
                if row.record is not None and reading.client.wanted.matches(row.record)
            ]
        else:
            reading.upto = self.database.snapshot()
            reading.found = self.database.changes_since(reading.since, reading.upto)

    def finish(self, reading: Reading) -> None:
        """Works the answer off."""
        client = reading.client
        assert reading.found is not None
        assert client.group is not None
        self.readings.remove(reading)
        self.broker.take(reading.found)
        self.stream.stop_recording(reading.published)
        if reading.since is None:
            newer = reading.before | reading.published
            for change in merge(reading.found, newer, client.wanted):
                client.take(framed(encoding.event(change, 0)))
            self._synced(client, client.group.log.head)
            return
        seq = reading.seqs[NUMBER]
        assert reading.upto is not None
        if self.dedup.hidden_from(reading.upto, reading.accepted):
            self._start_reading(client, reading.since)
            return
        if not self._holds(seq):
            self.overflow(client)
            return
        newer = reading.published
        before = [
            framed(encoding.event(change, 0))
            for change in reading.found
            if change.id not in newer or newer[change.id].version < change.version
        ]
        self._replay(client, before, seq)

    def advance(self, client: Client, count: int | None) -> None:
        """The client reads from the log."""
        assert client.group is not None
        if any(reading.client is client for reading in self.readings):
            return
        head = client.group.log.head
        stop = head if count is None else min(head, client.position + count)
        try:
            while client.position < stop:
                piece, client.position = client.group.read(client.position, stop, 1000)
                for message in texts(piece.data):
                    client.take(framed(message))
        except Overflow:
            self.overflow(client)

    def overflow(self, client: Client) -> None:
        """The log has moved on: reset."""
        client.reset()
        self._start_reading(client, None)

    def _start_reading(self, client: Client, since: Snapshot | None) -> None:
        dedup = self.dedup
        self.readings.append(
            Reading(
                client,
                since,
                self.broker.hub.seqs(),
                dedup.unshown(),
                dedup.accepted,
                self.stream.record(),
            )
        )

    def _holds(self, seq: int) -> bool:
        return seq <= self.stream.seq and self.stream.log.covers(seq)

    def _replay(self, client: Client, before: list[bytes], seq: int) -> None:
        assert client.group is not None
        log = client.group.log
        replayed = list(encoding.filtered(before, client.wanted))
        position = log.after(seq)
        while position < log.head:
            piece, position = client.group.read(position, log.head, 1000, changes_only=True)
            replayed += map(framed, texts(piece.data))
        for frame in replayed:
            client.take(frame, again=True)
        self._synced(client, log.head)

    def _synced(self, client: Client, position: int) -> None:
        client.position = position
        client.cursor, client.home = self.dedup.snapshot, self
