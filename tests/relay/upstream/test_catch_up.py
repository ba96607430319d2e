"""Reading what changed, page by page, while other things happen."""

import asyncio
from collections.abc import Callable, Iterable

import pytest

from relay.errors import KeyRefused, Unavailable
from relay.stream.broker import Broker
from relay.stream.hub import Hub
from relay.stream.snapshot import Snapshot
from relay.upstream.catch_up import QUIET_SECONDS, CatchUp
from relay.upstream.heartbeat import Heartbeat, Identity
from relay.upstream.loss import HEALED_SECONDS, LossDetector
from relay.upstream.rest import Page, Rest
from relay.upstream.state import UpstreamStatus
from tests.relay.rows import change


class Pages(Rest):
    """A database of which each page brings one more row; `between` happens before each page."""

    def __init__(self, count: int, between: Callable[[int], None] = lambda page: None) -> None:
        super().__init__("http://127.0.0.1:9", "key")
        self._count = count
        self._between = between
        self.beats = 0
        self.known = True  # whether a beat can be written
        self.trouble: Unavailable | None = None

    async def changes_since(
        self,
        since: Snapshot | None,
        *,
        epoch: str | None,
        upto: Snapshot | None = None,
        after: tuple[int, int, int] = (0, 0, 0),
        page: int = 1000,
        tables: Iterable[int] = (1, 2, 3),
    ) -> Page:
        if self.trouble is not None:
            raise self.trouble
        if since is None:
            return Page("1.1", Snapshot(100, 100), (), False, None, after)
        if self._count == 0:
            return Page("1.1", Snapshot(300, 300), (), False, None, after)
        number = after[2] + 1
        self._between(number)
        found = change(number, 1, tx=99 + number)
        place = (found.tx, 1, number)
        return Page("1.1", Snapshot(200, 200), (found,), number < self._count, None, place)

    async def heartbeat(self, instance: str, beat: int) -> int:
        if not self.known:
            raise Unavailable("relay_heartbeat: no")
        self.beats += 1
        return beat - 1

    def exhaust(self) -> None:
        """Nothing changes any more."""
        self._count = 0


class Listening:
    """Notes that a newer snapshot was reached; there is one history, and nothing is forged."""

    def __init__(self, moved: Callable[[], None] = lambda: None) -> None:
        self.snapshot_moved = moved

    def history_changed(self) -> None:
        raise AssertionError

    def live_contradicted(self) -> None:
        raise AssertionError


def reading(
    rest: Rest,
    upstream: UpstreamStatus,
    loss_detector: LossDetector,
    *,
    now: Callable[[], float] = lambda: 50.0,
) -> CatchUp:
    return CatchUp(
        rest,
        Broker(Hub()),
        upstream,
        loss_detector,
        Heartbeat(rest, Identity("this one"), now),
        Listening(),
        period=5,
        now=now,
    )


async def owed_after_reading(between: Callable[[UpstreamStatus], None]) -> int:
    """How many of three rows the live lane owes; `between` happens before the second page."""
    upstream, loss_detector = UpstreamStatus(started_at=0), LossDetector()
    upstream.live.subscribed(10)
    rest = Pages(3, lambda page: between(upstream) if page == 2 else None)
    catch_up = reading(rest, upstream, loss_detector)
    await catch_up.once()
    await catch_up.once()
    await rest.close()
    return sum(loss_detector.due(50 + step / 4) for step in range(int(HEALED_SECONDS) * 4 + 1))


async def test_what_catch_up_brings_is_owed_by_the_live_lane() -> None:
    assert await owed_after_reading(lambda upstream: None) == 3


async def test_a_new_subscription_owes_nothing_of_a_reading_that_began_before() -> None:
    def again(upstream: UpstreamStatus) -> None:
        upstream.live.lost("gone")
        upstream.live.subscribed(49)

    assert await owed_after_reading(again) == 1


async def test_a_beat_vouches_for_what_was_read_when_it_brought_something_and_now_and_then() -> (
    None
):
    now, rest, upstream = 50.0, Pages(3), UpstreamStatus(started_at=0)
    catch_up = reading(rest, upstream, LossDetector(), now=lambda: now)
    await catch_up.once()
    await catch_up.once()
    assert rest.beats == 2
    rest.exhaust()
    await catch_up.once()
    assert rest.beats == 2
    now += QUIET_SECONDS
    await catch_up.once()
    assert rest.beats == 3
    await rest.close()


async def test_without_a_beat_changes_are_read_and_cursors_stay_where_they_were() -> None:
    rest, upstream = Pages(3), UpstreamStatus(started_at=0)
    moves: list[Snapshot | None] = []
    broker = Broker(Hub())
    catch_up = CatchUp(
        rest,
        broker,
        upstream,
        LossDetector(),
        Heartbeat(rest, Identity("this one"), lambda: 50.0),
        Listening(lambda: moves.append(broker.deduplicators[1].snapshot)),
        period=5,
        now=lambda: 50.0,
    )
    await catch_up.once()
    rest.known = False
    await catch_up.once()
    assert sum(broker.published.values()) == 3
    assert upstream.catch_up.works(50)
    rest.known = True
    await catch_up.once()
    assert moves == [Snapshot(100, 100), Snapshot(200, 200)]
    await rest.close()


async def test_after_the_database_was_away_the_live_lane_has_to_prove_itself_again() -> None:
    rest, upstream = Pages(0), UpstreamStatus(started_at=0)
    heartbeat = Heartbeat(rest, Identity("this one"), lambda: 50.0)
    catch_up = CatchUp(
        rest,
        Broker(Hub()),
        upstream,
        LossDetector(),
        heartbeat,
        Listening(),
        period=5,
        now=lambda: 50.0,
    )
    upstream.live.subscribed(40)
    upstream.live.proved(45)
    running = [asyncio.create_task(part()) for part in (catch_up.run, heartbeat.run)]
    async with asyncio.timeout(60):
        await until(lambda: upstream.catch_up.works(50))
        assert upstream.live.proven(50)
        rest.trouble = Unavailable("changes_since: no")
        catch_up.request()
        await until(lambda: upstream.catch_up.trouble is not None)
        before, rest.trouble = rest.beats, None
        catch_up.request()
        await until(lambda: upstream.catch_up.works(50) and rest.beats > before)
    assert not upstream.live.proven(50)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await rest.close()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 there is nothing to wait for
        await asyncio.sleep(0)


async def test_catch_up_that_fails_for_another_reason_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A project that restarts without the relay's key first does not answer, then refuses."""
    now = 50.0
    rest, upstream = Pages(0), UpstreamStatus(started_at=0)
    catch_up = reading(rest, upstream, LossDetector(), now=lambda: now)
    running = asyncio.create_task(catch_up.run())
    async with asyncio.timeout(60):
        await until(lambda: upstream.catch_up.works(now))
        rest.trouble = Unavailable("changes_since: ConnectError")
        catch_up.request()
        await until(lambda: "ConnectError" in caplog.text)
        now, rest.trouble = 60.0, KeyRefused("the key is not accepted")
        catch_up.request()
        await until(lambda: upstream.refused)
    assert "catch-up fails, retrying error='the key is not accepted'" in caplog.text
    assert caplog.text.count("catch-up fails") == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await rest.close()
