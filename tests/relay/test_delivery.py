"""Every interleaving that hypothesis finds: clients end up with what the database holds.

Transactions commit out of order; the live lane delays, reorders, repeats and loses; catch-ups
page while both go on; clients come at any time and read at their own pace. At each step no
client sees a version again or an older one after a newer one.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relay.changes.endpoints import HOTSPOTS
from relay.changes.filters import Filter
from relay.changes.frames import event
from relay.changes.groups import Format, Group, Streams
from relay.changes.intake import Intake
from relay.changes.records import Change
from relay.changes.snapshot import Snapshot
from relay.clients.state import merge
from tests.relay.model import Database, Transaction

STATUSES = st.sampled_from(["active", "resolved", None])
FILTERS = (Filter(HOTSPOTS), Filter.of(HOTSPOTS, {"status": frozenset({"active"})}))


@dataclass(eq=False)
class Client:
    """What an application would hold, and its place in the log of its group."""

    wanted: Filter
    group: Group | None = None
    position: int = 0
    held: dict[int, dict[str, Any]] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)

    def wake(self) -> None:
        """Reads when the machine says so."""

    def take(self, frame: str) -> None:
        message = json.loads(frame)
        row_id = (
            message["id"]
            if message["type"] == "LEAVE"
            else (message["record"] or message["old_record"])["id"]
        )
        assert message["version"] > self.versions.get(row_id, 0)
        self.versions[row_id] = message["version"]
        if message["type"] in ("INSERT", "UPDATE"):
            self.held[row_id] = message["record"]
        else:
            self.held.pop(row_id, None)


@dataclass
class Reading:
    """A read of the state that is under way: what it found, and what was published since."""

    client: Client
    published: dict[int, Change]
    found: list[Change] | None = None


class Delivery(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.database = Database()
        self.intake = Intake(Streams())
        self.stream = self.intake.streams[HOTSPOTS]
        self.intake.begin("epoch", self.database.snapshot())
        self.live: list[Change] = []
        self.pages: list[Change] = []
        self.upto: Snapshot | None = None
        self.readings: list[Reading] = []
        self.clients: list[Client] = []

    @rule()
    def begin(self) -> None:
        self.database.begin()

    @precondition(lambda self: self.database.running)
    @rule(data=st.data(), status=STATUSES, new=st.booleans())
    def write(self, data: st.DataObject, status: str | None, new: bool) -> None:
        transaction = self.some_transaction(data)
        if new or self.database.next_id == 1:
            self.database.insert(transaction, status or "active")
        else:
            row_id = data.draw(st.integers(1, self.database.next_id - 1))
            self.database.change(transaction, row_id, status)

    @precondition(lambda self: self.database.running)
    @rule(data=st.data(), commit=st.sampled_from([True, True, True, False]))
    def end(self, data: st.DataObject, commit: bool) -> None:
        written = self.database.end(self.some_transaction(data), commit=commit)
        # A live deletion has no version and is read again: the lane brings none.
        self.live += [change for change in written if change.record is not None]

    @rule(data=st.data(), status=STATUSES, new=st.booleans(), delivered=st.booleans())
    def write_and_commit(
        self, data: st.DataObject, status: str | None, new: bool, delivered: bool
    ) -> None:
        transaction = self.database.begin()
        if new or self.database.next_id == 1:
            self.database.insert(transaction, status or "active")
        else:
            row_id = data.draw(st.integers(1, self.database.next_id - 1))
            self.database.change(transaction, row_id, status)
        written = self.database.end(transaction, commit=True)
        if delivered:
            self.intake.take(change for change in written if change.record is not None)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), count=st.integers(1, 3), lost=st.booleans(), again=st.booleans())
    def deliver(self, data: st.DataObject, count: int, lost: bool, again: bool) -> None:
        place = data.draw(st.integers(0, len(self.live) - 1))
        rows = self.live[place : place + count]
        if not again:
            del self.live[place : place + count]
        if not lost:
            self.intake.take(rows)

    @precondition(lambda self: self.upto is None)
    @rule()
    def catch_up(self) -> None:
        since = self.intake.feed.snapshot
        assert since is not None
        self.upto = self.database.snapshot()
        self.pages = self.database.changes_since(since, self.upto)

    @precondition(lambda self: self.upto is not None)
    @rule(count=st.integers(1, 4), fail=st.sampled_from([False, False, False, True]))
    def read_page(self, count: int, fail: bool) -> None:
        if fail:
            self.upto = None
            return
        # The next page is read later: it no longer holds what changed in between.
        newest = self.database.newest()
        page, self.pages = self.pages[:count], self.pages[count:]
        self.intake.take([change for change in page if newest[change.id] == change])
        if not self.pages and self.upto is not None:
            self.intake.feed.complete(self.upto)
            self.upto = None

    @rule(wanted=st.sampled_from(FILTERS))
    def come(self, wanted: Filter) -> None:
        client = Client(wanted)
        client.group = self.stream.join(Format.EVENTS, wanted, client)
        self.clients.append(client)
        self.readings.append(Reading(client, self.stream.record()))

    @precondition(lambda self: any(reading.found is None for reading in self.readings))
    @rule()
    def read_state(self) -> None:
        reading = next(reading for reading in self.readings if reading.found is None)
        reading.found = [
            row
            for row in self.database.rows()
            if row.record is not None and reading.client.wanted.matches(row.record)
        ]

    @precondition(lambda self: any(reading.found is not None for reading in self.readings))
    @rule()
    def get_state(self) -> None:
        reading = next(reading for reading in self.readings if reading.found is not None)
        self.readings.remove(reading)
        assert reading.found is not None
        self.intake.take(reading.found)
        self.stream.stop_recording(reading.published)
        client = reading.client
        for change in merge(reading.found, reading.published, client.wanted):
            client.take(event(change, self.stream.seq))
        assert client.group is not None
        client.position = client.group.log.head

    @rule(wanted=st.sampled_from(FILTERS))
    def come_and_get_state(self, wanted: Filter) -> None:
        if not self.readings:
            self.come(wanted)
            self.read_state()
            self.get_state()

    @precondition(lambda self: self.upto is None)
    @rule()
    def catch_up_at_once(self) -> None:
        self.catch_up()
        self.read_page(100, fail=False)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), count=st.integers(1, 5))
    def read_log(self, data: st.DataObject, count: int) -> None:
        self.advance(data.draw(st.sampled_from(self.clients)), count)

    @invariant()
    def the_map_holds_only_what_the_last_catch_up_did_not_show(self) -> None:
        newer = {
            change.id
            for change in self.database.committed
            if not self.intake.feed.snapshot or not self.intake.feed.snapshot.shows(change.tx)
        }
        assert len(self.intake.feed) <= len(newer)

    def teardown(self) -> None:
        for transaction in list(self.database.running.values()):
            self.end_all(transaction)
        while any(reading.found is None for reading in self.readings):
            self.read_state()
        while self.readings:
            self.get_state()
        self.upto = None
        self.catch_up()
        while self.upto is not None:
            self.read_page(100, fail=False)
        self.intake.take(self.live)  # the lane's last rows are late: stale, all of them
        for client in self.clients:
            self.advance(client, None)
            assert client.held == {
                row.id: row.record
                for row in self.database.rows()
                if row.record is not None and client.wanted.matches(row.record)
            }

    def end_all(self, transaction: Transaction) -> None:
        self.live += self.database.end(transaction, commit=True)

    def advance(self, client: Client, count: int | None) -> None:
        assert client.group is not None
        if any(reading.client is client for reading in self.readings):
            return
        for frame in client.group.log.since(client.position, count):
            client.take(frame)
            client.position += 1

    def some_transaction(self, data: st.DataObject) -> Transaction:
        return self.database.running[data.draw(st.sampled_from(sorted(self.database.running)))]


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
