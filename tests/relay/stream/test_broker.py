"""What is remembered of a catch-up that met other sources on its way."""

from relay.stream.broker import Broker, Source
from relay.stream.change import ALERTS
from relay.stream.hub import Hub
from relay.stream.snapshot import Snapshot
from tests.relay.rows import change


def begun() -> Broker:
    broker = Broker(Hub(seq=1000))
    broker.begin("1.1", Snapshot(100, 100), broker.hub.seqs())
    return broker


def test_what_came_live_before_a_catch_up_and_is_in_it_lets_it_be_resumed_from() -> None:
    broker = begun()
    broker.take([change(1, 1, tx=104)], Source.LIVE)
    seqs = broker.hub.seqs()
    broker.take([change(2, 1, tx=106)], Source.LIVE)
    broker.complete(1, Snapshot(105, 105), seqs)
    best = broker.histories[1].best(Snapshot(105, 105))
    assert best is not None
    assert (best.snapshot, best.seq) == (Snapshot(105, 105), 1001)


def test_a_snapshot_that_lags_behind_realtime_is_not_resumed_from() -> None:
    """The row was sent on before the request, so it does not follow after where the logs were."""
    broker = begun()
    broker.take([change(1, 1, tx=104)], Source.LIVE)
    seqs = broker.hub.seqs()
    lagging = Snapshot(104, 106, frozenset({104}))
    broker.complete(1, lagging, seqs)
    assert broker.deduplicators[1].snapshot == lagging
    best = broker.histories[1].best(lagging)
    assert best is not None
    assert (best.snapshot, best.seq) == (Snapshot(100, 100), 1000)
    broker.complete(1, Snapshot(107, 107), seqs)
    assert broker.histories[1].best(Snapshot(107, 107)) != best


def test_each_endpoint_has_ids_and_a_place_of_its_own() -> None:
    broker = begun()
    row, alert = change(7, 1, tx=104), change(7, 1, tx=104, endpoint=ALERTS)
    seqs = broker.hub.seqs()
    assert broker.take([row, row]) == [row]
    broker.complete(1, Snapshot(105, 105), seqs)  # the table of the alerts is locked
    assert broker.take([row, alert]) == [alert]
    assert broker.deduplicators[ALERTS.number].snapshot == Snapshot(100, 100)
