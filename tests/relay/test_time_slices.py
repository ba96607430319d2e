"""Long computations of clients in short time slices, between which everybody else has a turn."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from relay.time_slices import TimeSlices


class Work:
    """Items of 1 ms each by a clock of its own; `done` has those of all computations in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self.others = 0.0  # seconds that others take in a turn of the loop
        self.pauses: list[float] = []
        self.done: list[str] = []
        self.slices = TimeSlices(lambda: self.now, 0.004)

    def items(self, name: str, count: int, seconds: float = 0.001) -> Iterator[str]:
        for number in range(count):
            self.now += seconds
            self.done.append(f"{name}{number}")
            yield self.done[-1]


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """Pauses take no time but what others make of them. Servers in other threads sleep as ever."""
    work = Work()

    async def noted(seconds: float) -> None:
        if seconds:
            work.pauses.append(seconds)
        await asyncio.sleep(0)
        work.now += work.others

    monkeypatch.setattr(
        "relay.time_slices.asyncio", SimpleNamespace(sleep=noted, Lock=asyncio.Lock)
    )
    return work


async def test_all_items_are_returned_in_order(work: Work) -> None:
    assert await work.slices.collect(work.items("a", 30)) == [f"a{n}" for n in range(30)]
    assert await work.slices.collect([]) == []


async def test_others_have_as_long_as_each_slice_took(work: Work) -> None:
    work.others = 0.0002
    await work.slices.collect(work.items("a", 9))
    assert work.pauses == pytest.approx([0.004, 0.004])
    await work.slices.collect(work.items("b", 1, seconds=3.0))
    assert work.pauses[2:] == [0.005]


async def test_where_nothing_else_is_to_be_done_nothing_is_waited_for(work: Work) -> None:
    await work.slices.collect(work.items("a", 30))
    assert work.pauses == []


async def test_computations_take_turns_and_have_one_slice_at_a_time(work: Work) -> None:
    await asyncio.gather(*(work.slices.collect(work.items(name, 8)) for name in "ab"))
    assert "".join(each[0] for each in work.done) == "aaaabbbbaaaabbbb"


async def test_one_that_fails_or_is_cancelled_leaves_the_others_their_turns(work: Work) -> None:
    def failing() -> Iterator[str]:
        yield from work.items("f", 2)
        raise ValueError("bad item")

    cancelled = asyncio.create_task(work.slices.collect(work.items("c", 1000)))
    failed = asyncio.create_task(work.slices.collect(failing()))
    other = asyncio.create_task(work.slices.collect(work.items("o", 20)))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert len(await other) == 20
    with pytest.raises(ValueError, match="bad item"):
        await failed
    assert len([each for each in work.done if each.startswith("c")]) < 1000
