"""What the relay says about itself, second by second."""

from collections.abc import Callable

from relay.upstream.state import (
    DISTRUST_SECONDS,
    LONGEST_HOLD_SECONDS,
    PROVEN_SECONDS,
    STALE_SECONDS,
    START_SECONDS,
    AnnouncedState,
    UpstreamState,
    UpstreamStatus,
)


def test_a_relay_that_starts_is_not_ready_yet() -> None:
    upstream = UpstreamStatus(started_at=0)
    assert (upstream.state(1), upstream.ready(1)) == (UpstreamState.CATCHING_UP, False)
    upstream.catch_up.completed(1)
    assert (upstream.state(2), upstream.ready(2)) == (UpstreamState.CATCHING_UP, False)
    assert any("live lane" in trouble for trouble in upstream.troubles(2))


def test_it_is_live_once_proven_and_caught_up() -> None:
    upstream = live(at=2)
    assert (upstream.state(3), upstream.ready(3)) == (UpstreamState.LIVE, True)
    assert upstream.troubles(3) == []


def test_after_a_new_subscription_it_has_to_catch_up_first() -> None:
    upstream = live(at=2)
    upstream.live.lost("gone")
    upstream.live.subscribed(20)
    upstream.live.proved(21)
    upstream.catch_up.completed(19)
    assert upstream.state(21) is UpstreamState.CATCHING_UP
    upstream.catch_up.completed(20.5)
    assert upstream.state(21) is UpstreamState.LIVE


def test_what_was_committed_before_a_subscription_it_does_not_owe() -> None:
    upstream = live(at=2)
    assert upstream.debtor() == 1
    upstream.live.lost("gone")
    assert upstream.debtor() is None
    upstream.live.subscribed(20)
    assert upstream.debtor() is None
    upstream.catch_up.completed(20.5)
    assert upstream.debtor() == 20


def test_catch_up_alone_is_degraded_but_enough() -> None:
    upstream = live(at=2)
    upstream.live.lost("the heartbeat row did not come back")
    upstream.catch_up.completed(60)
    assert (upstream.state(61), upstream.ready(61)) == (UpstreamState.DEGRADED, True)
    assert upstream.troubles(61) == ["live lane not proven: the heartbeat row did not come back"]


def test_the_live_lane_alone_is_degraded_but_enough() -> None:
    upstream = live(at=2)
    upstream.catch_up.failed("changes_since: 503")
    assert (upstream.state(3), upstream.ready(3)) == (UpstreamState.DEGRADED, True)
    assert upstream.troubles(3) == ["catch-up fails: changes_since: 503"]


def test_with_neither_it_is_down() -> None:
    upstream = live(at=2)
    upstream.catch_up.failed("changes_since: 503")
    upstream.live.lost("HTTP 401")
    assert (upstream.state(3), upstream.ready(3)) == (UpstreamState.DOWN, False)
    assert len(upstream.troubles(3)) == 2


def test_proof_is_worth_only_so_long() -> None:
    upstream = live(at=2)
    late = 2 + PROVEN_SECONDS
    upstream.catch_up.completed(late)
    assert upstream.state(late - 0.1) is UpstreamState.LIVE
    assert upstream.state(late) is UpstreamState.DEGRADED


def test_a_catch_up_that_never_ends_counts_as_failing() -> None:
    upstream = live(at=2)
    upstream.live.lost("gone")
    assert upstream.ready(2 + STALE_SECONDS - 0.1)
    assert not upstream.ready(2 + STALE_SECONDS)


def test_a_catch_up_that_has_much_to_read_is_catching_up() -> None:
    upstream = live(at=2)
    upstream.live.lost("gone")
    late = 2 + STALE_SECONDS
    upstream.catch_up.read(1000, late - 1)
    upstream.catch_up.read(1000, late)
    assert (upstream.state(late + 1), upstream.ready(late + 1)) == (UpstreamState.CATCHING_UP, True)
    assert "catch-up is reading a backlog, 2000 rows so far" in upstream.troubles(late + 1)
    assert upstream.state(late + STALE_SECONDS) is UpstreamState.DOWN  # its pages stay away
    upstream.catch_up.read(1000, late + 20)
    upstream.catch_up.failed("changes_since: 503")
    assert (upstream.state(late + 21), upstream.ready(late + 21)) == (UpstreamState.DOWN, False)


def test_a_catch_up_that_took_long_works_when_it_is_complete() -> None:
    upstream = live(at=2)
    upstream.live.lost("gone")
    upstream.catch_up.completed(50, now=50 + 3 * STALE_SECONDS)
    assert upstream.state(51 + 3 * STALE_SECONDS) is UpstreamState.DEGRADED
    assert upstream.catch_up.covered_at == 50


def test_a_live_lane_that_never_works_does_not_keep_it_from_serving() -> None:
    upstream = UpstreamStatus(started_at=0)
    upstream.catch_up.completed(START_SECONDS)
    assert upstream.ready(START_SECONDS)
    assert upstream.state(START_SECONDS) is UpstreamState.DEGRADED


def test_rest_that_fails_at_start_is_said_at_once() -> None:
    upstream = UpstreamStatus(started_at=0)
    upstream.catch_up.failed("changes_since: ConnectError")
    assert (upstream.state(0.5), upstream.ready(0.5)) == (UpstreamState.DOWN, False)


def test_a_row_of_a_lost_subscription_proves_nothing() -> None:
    upstream = UpstreamStatus(started_at=0)
    upstream.live.lost("gone")
    upstream.live.proved(1)
    assert not upstream.live.proven(1)


def test_a_lane_that_lost_a_change_is_not_believed_at_its_next_one() -> None:
    upstream = live(at=2)
    upstream.live.lossy("it lost changes", 10)
    upstream.live.proved(10.1)
    upstream.catch_up.completed(10 + DISTRUST_SECONDS)
    assert upstream.state(10 + DISTRUST_SECONDS - 0.1) is UpstreamState.DEGRADED
    assert upstream.troubles(11) == ["live lane not proven: it lost changes"]
    assert upstream.state(10 + DISTRUST_SECONDS) is UpstreamState.LIVE


def test_what_gets_better_for_the_first_time_is_told_at_once() -> None:
    told = AnnouncedState(UpstreamState.CATCHING_UP)
    assert told.look(UpstreamState.LIVE, 1)
    assert told.look(UpstreamState.DEGRADED, 100)
    assert told.look(UpstreamState.LIVE, 101)
    assert not told.look(UpstreamState.LIVE, 102)


def test_a_state_that_changes_every_second_is_told_as_the_worse_one() -> None:
    changes = told_changes(
        lambda second: UpstreamState.LIVE if second % 2 else UpstreamState.DEGRADED, 600
    )
    assert len(changes) <= 3
    assert changes[-1] == (2, UpstreamState.DEGRADED)


def test_the_longer_it_flaps_the_longer_it_has_to_last() -> None:
    changes = told_changes(
        lambda second: UpstreamState.DOWN if second % 20 == 0 else UpstreamState.LIVE, 1200
    )
    assert len(changes) <= 12
    steady = told_changes(
        lambda second: (
            UpstreamState.DOWN if second % 20 == 0 and second < 300 else UpstreamState.LIVE
        ),
        1200,
    )
    assert steady[-1][1] is UpstreamState.LIVE
    assert steady[-1][0] <= 300 + LONGEST_HOLD_SECONDS


def told_changes(
    state: Callable[[int], UpstreamState], seconds: int
) -> list[tuple[int, UpstreamState]]:
    """What is told within so many seconds, looked at every second."""
    told = AnnouncedState(UpstreamState.LIVE)
    return [(second, told.state) for second in range(seconds) if told.look(state(second), second)]


def live(*, at: float) -> UpstreamStatus:
    upstream = UpstreamStatus(started_at=0)
    upstream.live.subscribed(1)
    upstream.live.proved(at)
    upstream.catch_up.completed(at)
    return upstream


def test_a_database_that_is_read_but_not_written_is_said() -> None:
    upstream = live(at=2)
    assert upstream.troubles(3, "the disk is full") == [
        "heartbeat is not written: the disk is full"
    ]
    upstream.catch_up.failed("changes_since: 503")  # then it is the same trouble
    assert upstream.troubles(3, "503") == ["catch-up fails: changes_since: 503"]
