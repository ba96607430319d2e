"""What the changes and those who want them take of memory, whatever comes and whoever asks."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

import relay.stream.log
from relay.stream.change import ENDPOINTS, HOTSPOTS
from relay.stream.encoding import Format
from relay.stream.hub import Group, Hub
from relay.stream.log import LogLimits, Overflow
from tests.relay.rows import change
from tests.relay.stream.test_groups import Reader, flush, hotspots_with

BUDGET = 1024 * 1024
MANY = 3_000  # rows that fill it twice
MEBIBYTE = 1024 * 1024
OTHER_BYTES = 2 * MEBIBYTE  # the rows of the last changes, and what a round leaves behind


@pytest.fixture
def taken() -> Iterator[Callable[[], int]]:
    """Tells how many bytes objects take that were made since."""
    tracemalloc.start()

    def traced() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    yield traced
    tracemalloc.stop()


def publish(hub: Hub, count: int) -> None:
    """So many new rows, on all endpoints in turn, of names that come once."""
    for number in range(count):
        first = hub[HOTSPOTS].seq + 1
        endpoint = ENDPOINTS[number % len(ENDPOINTS)]
        row = change(
            first + number, endpoint=endpoint, entity=f"SUP-{first + number}", text="x" * 300
        )
        hub.publish([row])


@pytest.mark.parametrize("clients", [0, 1])
def test_memory_is_level_when_the_logs_are_full(
    taken: Callable[[], int], clients: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay.stream.log, "MOST_KNOWN", 500)  # reached as soon as the budget
    hub = Hub(LogLimits(max_bytes=BUDGET))
    reader = Reader()
    for _ in range(clients):
        group = hub[HOTSPOTS].join(Format.EVENTS, hotspots_with(entity="SUP-1"), reader)
        group.keep(reader, reader.write, None)
    before = taken()
    fill(hub)
    full = taken()
    assert 0.7 * BUDGET < full - before < BUDGET + OTHER_BYTES
    assert hub.budget.used <= BUDGET
    fill(hub)
    fill(hub)
    assert taken() - full < 0.1 * BUDGET


def fill(hub: Hub) -> None:
    """With more than the logs hold, all of which is sent."""
    publish(hub, MANY)
    for stream in hub:
        flush(stream)


def test_a_thousand_filters_cost_less_than_twenty_mebibytes(taken: Callable[[], int]) -> None:
    hub = Hub(LogLimits(max_bytes=BUDGET))
    stream = hub[HOTSPOTS]
    publish(hub, MANY)
    level = taken()
    readers = []
    for number in range(1000):
        reader = Reader()
        wanted = hotspots_with(entity=",".join(f"SUP-{number + step}" for step in range(50)))
        reader.group = stream.join(Format.EVENTS, wanted, reader)
        if number % 2:
            reader.group.keep(reader, lambda data: None, None)
        readers.append(reader)
    publish(hub, MANY)
    flush(stream)
    for reader in readers:
        assert reader.group is not None
        read_all(reader.group)
    assert taken() - level < 20 * MEBIBYTE


def read_all(group: Group) -> None:
    """As a client does that is behind by as much as there is."""
    position = group.log.tail
    while position < group.log.head:
        try:
            _, position = group.read(position, group.log.head, 64 * 1024)
        except Overflow:
            position = group.log.tail
