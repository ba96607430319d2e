"""What is remembered of a catch-up that met other sources on its way."""

from relay.stream.broker import Broker, Source
from relay.stream.change import ALERTS
from relay.stream.hub import Hub
from relay.stream.snapshot import Snapshot
from tests.relay.rows import change


def begun() -> Broker:
    intake = Broker(Hub(seq=1000))
    intake.begin("1.1", Snapshot(100, 100), intake.streams.seqs())
    return intake


def test_what_came_live_before_a_catch_up_and_is_in_it_lets_it_be_resumed_from() -> None:
    intake = begun()
    intake.take([change(1, 1, tx=104)], Source.LIVE)
    seqs = intake.streams.seqs()
    intake.take([change(2, 1, tx=106)], Source.LIVE)
    intake.complete(1, Snapshot(105, 105), seqs)
    best = intake.histories[1].best(Snapshot(105, 105))
    assert best is not None
    assert (best.snapshot, best.seq) == (Snapshot(105, 105), 1001)


def test_a_snapshot_that_lags_behind_realtime_is_not_resumed_from() -> None:
    """The row was sent on before the request, so it does not follow after where the logs were."""
    intake = begun()
    intake.take([change(1, 1, tx=104)], Source.LIVE)
    seqs = intake.streams.seqs()
    lagging = Snapshot(104, 106, frozenset({104}))
    intake.complete(1, lagging, seqs)
    assert intake.feeds[1].snapshot == lagging
    best = intake.histories[1].best(lagging)
    assert best is not None
    assert (best.snapshot, best.seq) == (Snapshot(100, 100), 1000)
    intake.complete(1, Snapshot(107, 107), seqs)
    assert intake.histories[1].best(Snapshot(107, 107)) != best


def test_each_endpoint_has_ids_and_a_place_of_its_own() -> None:
    intake = begun()
    row, alert = change(7, 1, tx=104), change(7, 1, tx=104, endpoint=ALERTS)
    seqs = intake.streams.seqs()
    assert intake.take([row, row]) == [row]
    intake.complete(1, Snapshot(105, 105), seqs)  # the table of the alerts is locked
    assert intake.take([row, alert]) == [alert]
    assert intake.feeds[ALERTS.number].snapshot == Snapshot(100, 100)
