"""What is run, in which order: contestants alternate, so that ratios are taken within one run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench.attack.ways import OF_A_USER
from bench.contestant import Contestant
from bench.contestants.all import CONTESTANTS, RELAY, WITH_TOKENS
from bench.contestants.relay import Relay
from bench.scenarios import (
    attack,
    blocked,
    connects,
    decoding,
    fanout,
    filters,
    hold,
    hostile,
    idle,
    insert,
    storm,
    sustained,
    tokens,
)
from bench.scenarios.fanout import Figures

SIZES = (100, 1000, 5000, 10000)
MAIN_SIZE = 1000
OTHER_ROUNDS = 3  # of what takes long
OTHER_SIZE_ROUNDS = 2  # the other sizes only show the trend
# One of each way to treat a reader that stops, since it takes more than a minute each.
BLOCKED = ("relay", "floor-join", "bun", "nchan", "mosquitto", "naive")
SCENARIOS = (
    "fanout",
    "decoding",
    "tokens",
    "lanes",
    "connects",
    "sustained",
    "storm",
    "blocked",
    "attack",
    "idle",
    "hold",
    "filters",
    "insert",
    "hostile",
)
SUSTAINED_SECONDS = 30.0


@dataclass(frozen=True)
class Step:
    """One contestant in one scenario; `seconds` is about how long it takes."""

    scenario: str
    contestant: Contestant
    round: int
    seconds: float
    measure: Callable[[], Awaitable[Figures]]
    clients: int | None = None

    def __str__(self) -> str:
        size = f" with {self.clients:,} clients" if self.clients else ""
        return f"{self.scenario}{size}: {self.contestant.name}, round {self.round + 1}"


def steps(
    scenarios: Sequence[str], contestants: Sequence[Contestant], sizes: Sequence[int], rounds: int
) -> list[Step]:
    """All of it, the cheap and important first."""
    found: list[Step] = []
    if "fanout" in scenarios:
        for clients in sizes:
            found += _fanout(contestants, clients, rounds)
    for name in scenarios:
        if name != "fanout":
            found += OTHERS[name](contestants, rounds)
    return found


def _rotated(contestants: Sequence[Contestant], rounds: int) -> Iterator[tuple[int, Contestant]]:
    for round in range(rounds):
        first = round % len(contestants)
        for contestant in (*contestants[first:], *contestants[:first]):
            yield round, contestant


def _fanout(contestants: Sequence[Contestant], clients: int, rounds: int) -> Iterator[Step]:
    for round, contestant in _rotated(contestants, rounds):
        if clients != MAIN_SIZE and round >= _most(contestant, OTHER_SIZE_ROUNDS):
            continue
        wanted = fanout.size(clients, joins=contestant.joins)
        yield Step(
            "fanout",
            contestant,
            round,
            8 + clients / 500,
            partial(fanout.measure, contestant, wanted),
            clients,
        )


def _most(contestant: Contestant, rounds: int) -> int:
    """So many for the relay and the floor, one for each peer."""
    return rounds if contestant == RELAY or contestant.name.startswith("floor") else 1


def _decoding(contestants: Sequence[Contestant], rounds: int) -> Iterator[Step]:
    own = [each for each in contestants if isinstance(each, Relay)]
    lanes = [replace(each, lane=lane) for each in own for lane in ("broadcast", "postgres_changes")]
    for round, contestant in _rotated(lanes, rounds) if lanes else ():
        yield Step(
            "decoding",
            contestant,
            round,
            4,
            partial(decoding.measure, contestant),
        )


def _lanes(contestants: Sequence[Contestant], rounds: int) -> Iterator[Step]:
    # What the relay falls back to: one message for each row, one system call for each client.
    ways = [CONTESTANTS[0], Relay("postgres_changes"), Relay(io_uring=False)]
    for round, way in _rotated(ways, min(rounds, OTHER_ROUNDS)) if RELAY in contestants else ():
        yield Step(
            "lanes",
            way,
            round,
            8 + MAIN_SIZE / 500,
            partial(fanout.measure, way, fanout.size(MAIN_SIZE, joins=way.joins)),
            MAIN_SIZE,
        )


def _connects(contestants: Sequence[Contestant], rounds: int) -> Iterator[Step]:
    ways = [Relay(), WITH_TOKENS, Relay(tokens="HS256")] if RELAY in contestants else []
    for round, contestant in _rotated(ways, rounds) if ways else ():
        yield Step(
            "connects",
            contestant,
            round,
            5,
            partial(connects.measure, contestant),
            connects.CLIENTS,
        )


def _sustained(contestants: Sequence[Contestant], rounds: int) -> Iterator[Step]:
    # The others fall ever further behind, by design: one write for each row and client.
    able = [each for each in contestants if each.joins]
    for round, contestant in _rotated(able, rounds) if able else ():
        if round >= _most(contestant, OTHER_ROUNDS):
            continue
        yield Step(
            "sustained",
            contestant,
            round,
            SUSTAINED_SECONDS + 6,
            partial(sustained.measure, contestant, SUSTAINED_SECONDS),
            sustained.CLIENTS,
        )


def _blocked(contestants: Sequence[Contestant], rounds: int) -> Iterator[Step]:
    for contestant in contestants:
        if contestant.name not in BLOCKED:
            continue
        for round in range(min(rounds, OTHER_ROUNDS) if contestant == RELAY else 1):
            yield Step(
                "blocked",
                contestant,
                round,
                80,
                partial(blocked.measure, contestant),
                blocked.CLIENTS,
            )


def _tokens(contestants: Sequence[Contestant], rounds: int) -> Iterator[Step]:
    for round in range(rounds if any(isinstance(each, Relay) for each in contestants) else 0):
        yield Step("tokens", RELAY, round, 5, tokens.measure)


def _attack(contestants: Sequence[Contestant], rounds: int) -> Iterator[Step]:
    for round in range(min(rounds, OTHER_ROUNDS) if RELAY in contestants else 0):
        yield Step("attack", WITH_TOKENS, round, 83, attack.measure, attack.CLIENTS)


def _idle(contestants: Sequence[Contestant], rounds: int) -> Iterator[Step]:
    both = [Relay(), Relay(tokens="ES256", users=idle.CLIENTS)] if RELAY in contestants else []
    for round, contestant in _rotated(both, min(rounds, OTHER_ROUNDS)) if both else ():
        yield Step("idle", contestant, round, 40, partial(idle.measure, contestant), idle.CLIENTS)


def _storm(contestants: Sequence[Contestant], rounds: int) -> Iterator[Step]:
    for round in range(min(rounds, OTHER_ROUNDS) if RELAY in contestants else 0):
        yield Step("storm", RELAY, round, 45, storm.measure, storm.CLIENTS)


def _hold(contestants: Sequence[Contestant], rounds: int) -> Iterator[Step]:
    own = [each for each in contestants if isinstance(each, Relay)]
    for round, contestant in _rotated(own, min(rounds, OTHER_ROUNDS)) if own else ():
        yield Step("hold", contestant, round, 18, partial(hold.measure, contestant), hold.CLIENTS)


def _filters(contestants: Sequence[Contestant], rounds: int) -> Iterator[Step]:
    for round in range(min(rounds, OTHER_ROUNDS) if RELAY in contestants else 0):
        measure = partial(filters.measure, RELAY)
        yield Step("filters", RELAY, round, 24, measure, filters.CLIENTS)


def _insert(contestants: Sequence[Contestant], rounds: int) -> Iterator[Step]:
    own = any(isinstance(each, Relay) for each in contestants)
    for round in range(min(rounds, OTHER_ROUNDS) if own else 0):
        yield Step("insert", RELAY, round, 20, insert.measure)


def _hostile(contestants: Sequence[Contestant], rounds: int) -> Iterator[Step]:
    for round in range(min(rounds, OTHER_ROUNDS) if RELAY in contestants else 0):
        for way in OF_A_USER:
            contestant, measure = replace(WITH_TOKENS, beside=way), partial(hostile.measure, way)
            yield Step("hostile", contestant, round, 50, measure, attack.CLIENTS)


OTHERS = {
    "decoding": _decoding,
    "tokens": _tokens,
    "lanes": _lanes,
    "connects": _connects,
    "sustained": _sustained,
    "blocked": _blocked,
    "storm": _storm,
    "attack": _attack,
    "idle": _idle,
    "hold": _hold,
    "filters": _filters,
    "insert": _insert,
    "hostile": _hostile,
}


def named(names: Sequence[str]) -> list[Contestant]:
    """The contestants of those names, the floor among them since the others are compared with it.

    Raises:
        KeyError: There is none of that name.
    """
    known = {contestant.name: contestant for contestant in CONTESTANTS}
    wanted = {CONTESTANTS[0].name, *names}
    for name in names:
        known[name]
    return [contestant for contestant in CONTESTANTS if contestant.name in wanted]
