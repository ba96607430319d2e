"""Every interleaving that hypothesis finds: clients end up with what the database holds.

Transactions commit out of order, delete rows and put them back, and may be in the log before they
are visible; the live lanes of two relays delay, reorder, repeat and lose; catch-ups page while both
go on; clients come at any time, read at their own pace, fall behind, go away, and come back with
their cursor to either relay or with another filter. At each step no client that stays sees a
version again, and none ever takes an older one after a newer one.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relay.stream.change import HOTSPOTS, Change
from relay.stream.filters import Filter
from tests.relay.model import Database, Transaction
from tests.relay.nodes import Client, Node

STATUSES = st.sampled_from(["active", "resolved", None])
FILTERS = (Filter(HOTSPOTS), Filter.of(HOTSPOTS, {"status": frozenset({"active"})}))
NODES = st.sampled_from([0, 0, 1])


class Delivery(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.database = Database()
        self.nodes = [Node(self.database, 1000), Node(self.database, 1_000_000)]
        self.away: list[Client] = []

    @rule()
    def begin(self) -> None:
        self.database.begin()

    @precondition(lambda self: self.open_transactions())
    @rule(data=st.data(), status=STATUSES, new=st.booleans())
    def write(self, data: st.DataObject, status: str | None, new: bool) -> None:
        transaction = data.draw(st.sampled_from(self.open_transactions()))
        self.put(transaction, data, status, new)

    @precondition(lambda self: self.open_transactions())
    @rule(data=st.data(), delivered=st.integers(0, 3))
    def commit_and_wait_for_a_standby(self, data: st.DataObject, delivered: int) -> None:
        transaction = data.draw(st.sampled_from(self.open_transactions()))
        written = self.database.begin_end(transaction)
        for number, node in enumerate(self.nodes):
            if delivered >> number & 1:
                node.broker.take(self.told_live(number, written))

    @precondition(lambda self: self.database.running)
    @rule(data=st.data(), commit=st.sampled_from([True, True, True, False]))
    def end(self, data: st.DataObject, commit: bool) -> None:
        transaction = self.some_transaction(data)
        self.finish(transaction, commit=commit or transaction.ending)

    @rule(data=st.data(), status=STATUSES, new=st.booleans(), delivered=st.integers(0, 3))
    def write_and_commit(
        self, data: st.DataObject, status: str | None, new: bool, delivered: int
    ) -> None:
        transaction = self.database.begin()
        self.put(transaction, data, status, new)
        written = self.database.end(transaction, commit=True)
        for number, node in enumerate(self.nodes):
            if delivered >> number & 1:
                node.broker.take(self.told_live(number, written))

    @rule(
        data=st.data(),
        number=NODES,
        count=st.integers(1, 3),
        lost=st.booleans(),
        again=st.booleans(),
    )
    def deliver(
        self, data: st.DataObject, number: int, count: int, lost: bool, again: bool
    ) -> None:
        node = self.nodes[number]
        if not node.live:
            return
        place = data.draw(st.integers(0, len(node.live) - 1))
        rows = node.live[place : place + count]
        if not again:
            del node.live[place : place + count]
        if not lost:
            node.broker.take(rows)

    @rule(number=NODES)
    def catch_up(self, number: int) -> None:
        if self.nodes[number].upto is None:
            self.nodes[number].begin_catch_up()

    @rule(number=NODES, count=st.integers(1, 4), fail=st.sampled_from([False, False, False, True]))
    def read_page(self, number: int, count: int, fail: bool) -> None:
        node = self.nodes[number]
        if fail:
            node.upto = None
        elif node.upto is not None:
            node.read_page(count)

    @rule(number=NODES)
    def catch_up_at_once(self, number: int) -> None:
        node = self.nodes[number]
        if node.upto is None:
            node.begin_catch_up()
            node.read_page(100)

    @rule(number=NODES, wanted=st.sampled_from(FILTERS))
    def come(self, number: int, wanted: Filter) -> None:
        self.nodes[number].come(Client(wanted))

    @rule(number=NODES, wanted=st.sampled_from(FILTERS))
    def come_and_get_the_state(self, number: int, wanted: Filter) -> None:
        node = self.nodes[number]
        node.come(Client(wanted))
        node.read(node.readings[-1])
        node.finish(node.readings[-1])

    @rule(data=st.data(), number=NODES)
    def go(self, data: st.DataObject, number: int) -> None:
        node = self.nodes[number]
        if node.clients:
            client = data.draw(st.sampled_from(node.clients))
            node.leave(client)
            self.away.append(client)

    @precondition(lambda self: self.away)
    @rule(data=st.data(), number=NODES, other_filter=st.sampled_from([False, False, True]))
    def come_back(self, data: st.DataObject, number: int, other_filter: bool) -> None:
        client = data.draw(st.sampled_from(self.away))
        self.away.remove(client)
        if other_filter:  # a mismatch: reset
            client.wanted = data.draw(st.sampled_from(FILTERS))
            client.cursor = None
        if client.cursor is None:
            self.nodes[number].come(client)
        else:
            self.nodes[number].come_back(client)

    @rule(data=st.data(), number=NODES)
    def be_answered(self, data: st.DataObject, number: int) -> None:
        node = self.nodes[number]
        if node.readings:
            reading = data.draw(st.sampled_from(node.readings))
            if reading.found is None:
                node.read(reading)
            else:
                node.finish(reading)

    @rule(data=st.data(), number=NODES, count=st.integers(1, 5))
    def read_log(self, data: st.DataObject, number: int, count: int) -> None:
        node = self.nodes[number]
        if node.clients:
            node.advance(data.draw(st.sampled_from(node.clients)), count)

    @invariant()
    def the_map_holds_only_what_the_last_catch_up_did_not_show(self) -> None:
        for node in self.nodes:
            newer = {
                change.id
                for change in self.database.committed + self.database.waiting()
                if not node.dedup.snapshot or not node.dedup.snapshot.shows(change.tx)
            }
            assert len(node.dedup) <= len(newer)

    def teardown(self) -> None:
        for transaction in list(self.database.running.values()):
            self.finish(transaction, commit=True)
        for client in self.away:
            node = self.nodes[0]
            node.come(client) if client.cursor is None else node.come_back(client)
        for node in self.nodes:
            node.upto = None
            self.answer_all(node)
            node.begin_catch_up()
            node.read_page(1000)
            node.broker.take(node.live)  # the lane's last rows are late: stale, all of them
            for client in list(node.clients):
                node.advance(client, None)
                self.answer_all(node)  # who fell behind starts anew
                node.advance(client, None)
                assert client.held == {
                    row.id: row.record
                    for row in self.database.rows()
                    if row.record is not None and client.wanted.matches(row.record)
                }

    def answer_all(self, node: Node) -> None:
        while node.readings:
            node.read(node.readings[0])
            node.finish(node.readings[0])

    def put(
        self, transaction: Transaction, data: st.DataObject, status: str | None, new: bool
    ) -> None:
        if new or self.database.next_id == 1:
            self.database.insert(transaction, status or "active")
        else:
            row_id = data.draw(st.integers(1, self.database.next_id - 1))
            self.database.change(transaction, row_id, status)

    def finish(self, transaction: Transaction, *, commit: bool) -> None:
        written = self.database.end(transaction, commit=commit)
        for number, node in enumerate(self.nodes):
            node.live += self.told_live(number, written)

    def told_live(self, number: int, written: list[Change]) -> list[Change]:
        """Deletions have a version on the lane of the second node only; without it they are read
        again."""
        return [change for change in written if change.record is not None or number == 1]

    def open_transactions(self) -> list[Transaction]:
        running = self.database.running
        return [running[tx] for tx in sorted(running) if not running[tx].ending]

    def some_transaction(self, data: st.DataObject) -> Transaction:
        return self.database.running[data.draw(st.sampled_from(sorted(self.database.running)))]


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
