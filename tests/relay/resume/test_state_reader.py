"""Reading the state that new clients get, while the database shows less than was sent on."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from typing import Any, NoReturn, ParamSpec, TypeVar

import pytest

from relay.access.limits import THIS_MACHINE
from relay.resume import state_reader
from relay.resume.cursor import CursorIssuer
from relay.resume.initial_state import (
    PROTECTED_SECONDS,
    InitialState,
    StateBudget,
    StateSlice,
)
from relay.resume.state_reader import MOST_READS_EACH, WORTH_A_COMMON_READ, InitialStates
from relay.stream.broker import Broker
from relay.stream.change import HOTSPOTS, Change
from relay.stream.encoding import Format, framed, texts
from relay.stream.filters import Filter
from relay.stream.hub import Group, Hub
from relay.stream.log import Overflow
from relay.stream.snapshot import Snapshot
from relay.time_slices import TimeSlices
from relay.upstream.heartbeat import Identity
from relay.upstream.rest import Page, Rest
from tests.relay.rows import change, text
from tests.relay.stream.test_groups import Reader

P = ParamSpec("P")
T = TypeVar("T")

CRITICAL = Filter.of(HOTSPOTS, {"severity": frozenset({"critical"})})


class Waiting:
    """A client of that user who waits for a state."""

    def __init__(self, user: str) -> None:
        self.user = user
        self._got = asyncio.get_running_loop().create_future()

    def receive_state(self, state: InitialState | BaseException) -> None:
        if isinstance(state, BaseException):
            self._got.set_exception(state)
        else:
            self._got.set_result(state)

    async def state(self) -> InitialState:
        async with asyncio.timeout(20):
            found: InitialState = await self._got
        return found


class Behind(Rest):
    """A database that shows these rows of transactions before 101, and nothing newer until
    `changes_since` has been asked so often; then everything."""

    def __init__(self, rows: Sequence[Change], all_rows: Sequence[Change], hidden_for: int) -> None:
        super().__init__("http://127.0.0.1:9", "key")
        self._rows = rows
        self._all_rows = all_rows
        self._hidden_for = hidden_for
        self.asked = 0

    async def newest(self, wanted: Filter, count: int) -> tuple[list[Change], bool]:
        rows = self._rows if self.asked <= self._hidden_for else self._all_rows
        return [row for row in reversed(rows) if wanted.matches(row.record or {})][:count], False

    async def changes_since(self, since: Snapshot | None, **arguments: Any) -> Page:
        self.asked += 1
        upto = Snapshot(101, 101) if self.asked <= self._hidden_for else Snapshot(1 << 40, 1 << 40)
        return Page("1.1", upto, (), False, None, (0, 0, 0))


async def read(
    shown: Sequence[Change],
    sent: Sequence[Change],
    all_rows: Sequence[Change] = (),
    hidden_for: int = 1 << 20,
) -> list[str]:
    """The state of critical hotspots, of which the database shows some and others were sent on."""
    rest, broker = Behind(shown, all_rows, hidden_for), Broker(Hub())
    broker.begin("1.1", Snapshot(100, 100), broker.hub.seqs())
    broker.take(sent)
    group = broker.hub[HOTSPOTS].join(Format.ROWS, CRITICAL, Reader())
    issuer = CursorIssuer("key", Identity("this one"), broker, clock=lambda: 0.0, seconds=60)
    states = InitialStates(rest, broker, issuer, TimeSlices(), max_bytes_since=1 << 20, burst=9)
    client = Waiting("somebody")
    states.read(group, client, None)
    found = await client.state()
    await rest.close()
    return [text for piece in found.all().rows for text in texts(piece.data)]


@pytest.mark.parametrize("others", [0, 600, 5000])
async def test_a_new_row_that_the_database_does_not_show_yet_is_in_it(others: int) -> None:
    old, new = change(1, 1, severity="critical", tx=90), change(2, 1, severity="critical", tx=101)
    noise = [change(3 + n, 1, severity="info", tx=102 + n) for n in range(others)]
    (first, second) = await read([old], [new, *noise])
    assert '"id":1,' in first
    assert '"id":2,' in second


async def test_all_rows_of_a_commit_that_waits_for_a_standby_are_in_it() -> None:
    waiting = [change(n, 1, severity="critical", tx=101) for n in range(600)]
    assert len(await read([], waiting)) == 600


async def test_what_is_too_much_to_be_kept_is_read_again_until_it_is_visible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.resume.state_reader.RETRY_SECONDS", 0.0)
    rows = [change(n, 1, severity="critical", tx=101, entity="x" * 30_000) for n in range(700)]
    assert len(await read([], rows, all_rows=rows, hidden_for=2)) == 700


async def test_what_was_deleted_or_left_the_filter_lately_is_not_in_it() -> None:
    sent = [
        change(1, 1, severity="critical", tx=101),
        change(2, 1, severity="critical", tx=102),
        change(1, 2, tx=103, deleted=True),
        change(2, 2, severity="info", tx=104),
    ]
    assert await read([], sent) == []


async def test_what_the_database_shows_is_not_made_older() -> None:
    newer = change(1, 3, severity="critical", tx=103, entity="SUP-3")
    (row,) = await read([newer], [change(1, 1, severity="critical", tx=101, entity="SUP-1")])
    assert "SUP-3" in row


class Slow(Rest):
    """A database with these rows that answers when it is told to; `asked` are the filters."""

    def __init__(self, rows: Sequence[Change], most: int = 1000) -> None:
        super().__init__("http://127.0.0.1:9", "key")
        self.rows = rows
        self.most = most
        self.asked: list[str] = []
        self.ended: list[str] = []
        self.may_answer = asyncio.Event()

    async def newest(self, wanted: Filter, count: int) -> tuple[list[Change], bool]:
        self.asked.append(str(wanted))
        try:
            await self.may_answer.wait()
        finally:
            self.ended.append(str(wanted))
        found = [row for row in reversed(self.rows) if wanted.matches(row.record or {})]
        return found[: self.most], len(found) > self.most

    async def open_rows(
        self, wanted: Filter, below: int, most: int
    ) -> AsyncIterator[Sequence[Change]]:
        rows = [row for row in reversed(self.rows) if wanted.matches(row.record or {})]
        found = [row for row in rows if row.id < below and (row.record or {})["status"] == "active"]
        for start in range(0, min(len(found), most), self.most):
            await self.on_page(start)
            yield found[start : start + self.most]

    async def on_page(self, start: int) -> None:
        """The page is asked for."""


class Relay:
    """What reads states, over a database."""

    def __init__(self, rest: Slow, slices: TimeSlices | None = None, burst: int = 1000) -> None:
        self.rest = rest
        self.now = 0.0
        self.broker = Broker(Hub())
        self.broker.begin("1.1", Snapshot(100, 100), self.broker.hub.seqs())
        issuer = CursorIssuer(
            "key", Identity("this one"), self.broker, clock=lambda: 0.0, seconds=60
        )
        self.states = InitialStates(
            rest,
            self.broker,
            issuer,
            slices or TimeSlices(),
            max_bytes_since=1 << 20,
            burst=burst,
            now=lambda: self.now,
        )

    def ask(
        self,
        user: str,
        *entities: str,
        last: int | None = None,
        format: Format = Format.ROWS,
    ) -> tuple[Waiting, Group]:
        """A client of that user comes for the rows of these entities."""
        wanted = Filter.of(HOTSPOTS, {"entity": frozenset(entities)})
        group = self.broker.hub[HOTSPOTS].join(format, wanted, Reader())
        client = Waiting(user)
        self.states.read(group, client, last)
        return client, group


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    """A relay of a database with fifty rows, each of an entity of its own; a read brings ten."""
    relay = Relay(Slow([change(n, 1, tx=90, entity=f"E{n}") for n in range(50)], most=10))
    yield relay
    await relay.states.close()
    await relay.rest.close()


async def turn() -> None:
    """Lets what can go on go on."""
    for _ in range(10):
        await asyncio.sleep(0)


async def ids(client: Waiting) -> list[int]:
    state = await client.state()
    return sorted(row_id for row_id, _ in state.rows())


async def test_a_newcomer_does_not_wait_for_all_that_another_user_asked_for(relay: Relay) -> None:
    relay.rest.may_answer.set()
    for n in range(40):
        relay.ask("many", f"E{n}")
    await asyncio.gather(*(ids(relay.ask("other", f"E{n}")[0]) for n in range(40)))
    assert "" in relay.rest.asked  # the table is known to be large from now on
    relay.rest.may_answer.clear()
    relay.rest.asked.clear()
    for n in range(40):
        relay.ask("many", f"E{n}")
    newcomer, _ = relay.ask("newcomer", "E45")
    await turn()
    assert relay.rest.asked == ["entity=E0", "entity=E45"]
    relay.rest.may_answer.set()
    assert await ids(newcomer) == [45]


async def test_a_read_ends_with_the_last_client_that_waits_for_it(relay: Relay) -> None:
    (first, group), (second, same) = relay.ask("a", "E1"), relay.ask("b", "E1")
    assert same is group
    others = [relay.ask("c", f"E{n}") for n in (2, 3)]
    await turn()
    assert relay.rest.asked == ["entity=E1", "entity=E2"]
    relay.states.leave(group, first)
    await turn()
    assert relay.rest.ended == []
    relay.states.leave(group, second)
    relay.states.leave(others[1][1], others[1][0])
    await turn()
    assert relay.rest.ended == ["entity=E1"]
    assert relay.rest.asked == ["entity=E1", "entity=E2"]  # E3 is not read at all
    relay.rest.may_answer.set()
    assert await ids(others[0][0]) == [2]


async def test_who_asks_for_ever_more_states_waits_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state_reader, "READS_PER_SECOND", 100.0)
    relay = Relay(Slow([change(n, 1, tx=90, entity=f"E{n}") for n in range(9)]), burst=2)
    relay.rest.may_answer.set()
    first, second, third = [relay.ask("a", f"E{n}")[0] for n in range(3)]
    assert (await ids(first), await ids(second)) == ([0], [1])
    assert await ids(relay.ask("b", "E5")[0]) == [5]
    local = [relay.ask(THIS_MACHINE, f"E{n}")[0] for n in (6, 7, 8)]
    assert [await ids(client) for client in local] == [[6], [7], [8]]
    assert relay.rest.asked.count("entity=E2") == 0
    relay.now += 0.01
    assert await ids(third) == [2]
    await relay.states.close()
    await relay.rest.close()


async def test_a_read_that_failed_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_reader, "RETRY_SECONDS", 0.0)
    relay = Relay(Slow([change(1, 1, tx=90, entity="E1")]), burst=1)
    relay.rest.may_answer.set()
    relay.broker.busy = frozenset({HOTSPOTS.number})
    client, _ = relay.ask("a", "E1")
    await turn()
    relay.broker.busy = frozenset()
    assert await ids(client) == [1]
    await relay.states.close()
    await relay.rest.close()


async def test_many_filters_of_a_small_table_are_served_by_one_read(relay: Relay) -> None:
    relay.rest.rows = relay.rest.rows[:8]
    clients = [relay.ask("a", f"E{n}")[0] for n in range(8)]
    await turn()
    singly = len(relay.rest.asked)
    assert singly <= MOST_READS_EACH
    relay.broker.take([change(7, 2, tx=105, entity="E7"), change(9, 1, tx=106, entity="E1")])
    relay.rest.may_answer.set()
    assert [await ids(client) for client in clients] == [[0], [1, 9], *([n] for n in range(2, 8))]
    assert len(relay.rest.asked) <= singly + 1
    assert "" in relay.rest.asked


async def test_many_filters_of_a_large_table_are_read_one_by_one_after_one_attempt(
    relay: Relay,
) -> None:
    relay.rest.may_answer.set()
    clients = [relay.ask(f"user {n}", f"E{n}")[0] for n in range(2 * WORTH_A_COMMON_READ)]
    assert [await ids(client) for client in clients] == [[n] for n in range(len(clients))]
    assert relay.rest.asked.count("") == 1
    more = [relay.ask(f"user {n}", f"E{n}")[0] for n in range(20, 20 + 2 * WORTH_A_COMMON_READ)]
    assert [await ids(client) for client in more] == [[20 + n] for n in range(len(more))]
    assert relay.rest.asked.count("") == 1


@pytest.mark.parametrize("format", Format)
async def test_open_rows_of_long_ago_are_in_it_as_they_are_now(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    """They are read page by page, while some of them change."""
    news = [
        change(2, 3, tx=105, entity="E", status="resolved"),
        change(5, 2, tx=106, deleted=True),
        change(31, 2, tx=107, entity="E", status="active", severity="critical"),
        change(8, 1, tx=90, entity="E", status="active", severity="info"),  # of before
        change(50, 1, tx=108, entity="E", status="active"),
    ]

    async def publish(start: int) -> None:
        if start == 20:
            relay.broker.take(news)

    monkeypatch.setattr(relay.rest, "on_page", publish)
    relay.rest.rows = [
        change(n, 2, tx=90, entity="E", status="active" if n % 3 else "resolved", severity="warn")
        for n in range(50)
    ]
    relay.rest.may_answer.set()
    client, _ = relay.ask("a", "E", format=format)
    state = await client.state()
    told = {row_id: json.loads(text(frame)) for row_id, frame in state.rows()}
    newest, opened = range(40, 51), {n for n in range(40) if n % 3} - {5}
    assert sorted(told) == sorted(opened | {2} | {*newest})
    rows = {row_id: each.get("record", each) for row_id, each in told.items()}
    assert all(rows[row_id]["id"] == row_id for row_id in rows)
    assert (rows[2]["status"], rows[31]["severity"], rows[8]["severity"]) == (
        "resolved",
        "critical",
        "warn",
    )
    seqs = {each["seq"] for each in told.values() if format is Format.EVENTS}
    assert seqs == ({state.seq} if format is Format.EVENTS else set())


async def test_who_wants_the_newest_rows_alone_does_not_make_the_open_ones_read(
    relay: Relay,
) -> None:
    relay.rest.rows = [change(n, 1, tx=90, entity="E", status="active") for n in range(50)]
    relay.rest.may_answer.set()
    one, group = relay.ask("a", "E", last=5)
    state = await one.state()
    assert len(list(state.rows())) == 10
    assert relay.states.slice(state, group, 5) is not None
    assert relay.states.slice(state, group, None) is None
    other, _ = relay.ask("b", "E")
    assert len(list((await other.state()).rows())) == 50


@pytest.mark.parametrize("expired", [False, True], ids=["slow", "slower"])
async def test_clients_that_read_slowly_do_not_make_each_other_start_over_without_end(
    monkeypatch: pytest.MonkeyPatch, expired: bool
) -> None:
    """Nine states of 600 kB, of which three fit, each read by a client that takes its time."""
    names = [f"E{number}" for number in range(9)]
    rows = [change(n, 1, tx=90, entity=names[n % 9], entity_type="x" * 6000) for n in range(900)]
    monkeypatch.setattr(
        state_reader, "StateBudget", lambda now: StateBudget(2_100_000, now=now), raising=True
    )
    relay = Relay(Slow(rows, most=500))
    relay.rest.may_answer.set()
    tried: dict[str, int] = dict.fromkeys(names, 0)

    async def take(name: str) -> int:
        while True:
            tried[name] += 1
            assert tried[name] < 20, tried
            client, group = relay.ask(name, name)
            part = relay.states.slice(await client.state(), group, None, fresh=True)
            if part is None:
                continue  # it had to make room already
            try:
                frames = 0
                for piece in part.rows:
                    frames += piece.frames
                    for _ in range(20):
                        await asyncio.sleep(0.001)
                    relay.now += PROTECTED_SECONDS / 9 if expired else 0
                return frames
            except Overflow:
                continue

    async with asyncio.timeout(60):
        assert set(await asyncio.gather(*map(take, names))) == {100}
    if not expired:
        assert sum(tried.values()) <= 2 * len(names), tried
    await relay.states.close()
    await relay.rest.close()


async def test_a_state_that_is_larger_than_all_room_is_read_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 600 kB where 300 kB are kept: waiting would not make it fit."""
    rows = [change(n, 1, tx=90, entity="E", entity_type="x" * 6000) for n in range(100)]
    monkeypatch.setattr(
        state_reader, "StateBudget", lambda now: StateBudget(300_000, now=now), raising=True
    )
    relay = Relay(Slow(rows, most=500))
    relay.rest.may_answer.set()
    async with asyncio.timeout(60):  # the relay's clock stands still
        for user in ("first", "second"):
            client, _ = relay.ask(user, "E")
            await client.state()
    await relay.states.close()
    await relay.rest.close()


class Turns:
    """Counts calls between two turns of the event loop."""

    def __init__(self) -> None:
        self.most = self.total = self._calls = 0

    def count(self, function: Callable[P, T]) -> Callable[P, T]:
        """Return a function that is counted."""

        def counted(*arguments: P.args, **named: P.kwargs) -> T:
            self._calls += 1
            self.total += 1
            self.most = max(self.most, self._calls)
            return function(*arguments, **named)

        return counted

    async def watch(self) -> NoReturn:
        """Take note of each turn until cancelled."""
        while True:
            self._calls = 0
            await asyncio.sleep(0)


@pytest.fixture
async def turns() -> AsyncIterator[Turns]:
    """Running from now on."""
    turns = Turns()
    watching = asyncio.create_task(turns.watch())
    yield turns
    watching.cancel()


@pytest.mark.parametrize("format", Format)
async def test_a_large_state_of_one_client_is_made_while_others_get_their_turns(
    monkeypatch: pytest.MonkeyPatch, turns: Turns, format: Format
) -> None:
    rows = [change(n, 1, tx=90, entity="E", status="active") for n in range(9_000)]
    relay = Relay(Slow(rows), TimeSlices(ticking(), 0.001))
    relay.rest.may_answer.set()
    monkeypatch.setattr("relay.resume.state_reader.framed", turns.count(framed))
    monkeypatch.setattr("relay.resume.state_reader._encoded", turns.count(state_reader._encoded))
    client, _ = relay.ask("a", "E", format=format)
    assert len(await ids(client)) == 9_000
    assert turns.total == 2 * 9_000
    assert turns.most <= 2 * 11
    await relay.states.close()
    await relay.rest.close()


async def test_many_who_want_different_parts_of_a_state_get_them_in_turns(
    monkeypatch: pytest.MonkeyPatch, turns: Turns
) -> None:
    rows = [change(n, 1, tx=90, entity="E", status="active") for n in range(100)]
    relay = Relay(Slow(rows), TimeSlices(ticking(), 0.001))
    monkeypatch.setattr(Waiting, "receive_state", turns.count(Waiting.receive_state))
    clients = [relay.ask("a", "E", last=n)[0] for n in range(100)]
    relay.rest.may_answer.set()
    assert {len(await ids(client)) for client in clients} == {100}
    assert turns.total == 100
    assert turns.most <= 11
    await relay.states.close()
    await relay.rest.close()


def ticking() -> Callable[[], float]:
    """A clock that shows 0.1 ms more whenever somebody looks."""
    ticks = count()
    return lambda: next(ticks) / 10_000


async def test_a_client_gets_the_state_it_waited_for_however_much_was_published_meanwhile(
    relay: Relay,
) -> None:
    everything, group = relay.ask("a", "E1", format=Format.EVENTS)
    some, _ = relay.ask("b", "E1", last=1, format=Format.EVENTS)
    relay.rest.may_answer.set()
    states = await everything.state(), await some.state()
    relay.broker.take([change(100 + n, 1, tx=200, entity="E2") for n in range(1100)])
    for last in (None, 1):
        assert relay.states.slice(states[0], group, last) is None
        part = relay.states.slice(states[0], group, last, fresh=True)
        assert part is not None
        assert [each["record"]["id"] for each in map(json.loads, shown(part))] == [1]
        assert part.position == states[0].position == group.log.head - 1100


def shown(part: StateSlice) -> list[str]:
    return [text for piece in part.rows for text in texts(piece.data)]
