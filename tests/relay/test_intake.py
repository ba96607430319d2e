"""What is remembered of a catch-up that met other sources on its way."""

from relay.changes.intake import Intake, Source
from relay.changes.snapshot import Snapshot
from relay.changes.streams import Streams
from tests.relay.rows import change


def begun() -> Intake:
    intake = Intake(Streams(seq=1000))
    intake.begin("1.1", Snapshot(100, 100), intake.streams.seqs())
    return intake


def test_what_came_live_before_a_catch_up_and_is_in_it_lets_it_be_resumed_from() -> None:
    intake = begun()
    intake.take([change(1, 1, tx=104)], Source.LIVE)
    seqs = intake.streams.seqs()
    intake.take([change(2, 1, tx=106)], Source.LIVE)
    intake.complete(Snapshot(105, 105), seqs)
    best = intake.history.best(Snapshot(105, 105))
    assert best is not None
    assert (best.snapshot, best.seqs[1]) == (Snapshot(105, 105), 1001)


def test_a_snapshot_that_lags_behind_realtime_is_not_resumed_from() -> None:
    """The row was sent on before the request, so it does not follow after where the logs were."""
    intake = begun()
    intake.take([change(1, 1, tx=104)], Source.LIVE)
    seqs = intake.streams.seqs()
    lagging = Snapshot(104, 106, frozenset({104}))
    intake.complete(lagging, seqs)
    assert intake.feed.snapshot == lagging
    best = intake.history.best(lagging)
    assert best is not None
    assert (best.snapshot, best.seqs[1]) == (Snapshot(100, 100), 1000)
    intake.complete(Snapshot(107, 107), seqs)
    assert intake.history.best(Snapshot(107, 107)) != best
