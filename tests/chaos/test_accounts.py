"""The ledger, what is held against it, and how long changes may take."""

from __future__ import annotations

import pytest

from chaos.application import Taken
from chaos.arrivals import Arrivals, Outages
from chaos.holdings import lost_events, lost_rows
from chaos.ledger import Ledger, Version
from chaos.subscriptions import Subscription

PENDING = Subscription("recommendations", (("status", ("pending",)),))
BOUND, RECOVERY = 6.0, 2.0


def version(
    number: int,
    status: str | None,
    committed: float,
    row_id: int = 1,
    sent: float | None = None,
) -> Version:
    row = None if status is None else {"status": status}
    sent = committed if sent is None else sent
    return Version("recommendations", row_id, number, row, sent, committed)


def ledger_of(*versions: Version) -> Ledger:
    ledger = Ledger()
    for each in versions:
        ledger.commit([each])
    return ledger


def slowest(
    ledger: Ledger,
    taken: Taken,
    now: float,
    ready_at: float = 0.0,
    outages: Outages | None = None,
    *,
    ends: bool = True,
) -> list[tuple[int, float]]:
    arrivals = Arrivals(ledger, outages or Outages(BOUND, RECOVERY))
    arrivals.took("client", PENDING, taken, ready_at, now, ends=ends)
    return [(each.version.version, each.seconds) for each in arrivals.slowest]


def test_the_newest_version_counts_in_whatever_order_commits_become_known() -> None:
    ledger = ledger_of(version(2, "approved", 1), version(1, "pending", 2))
    assert ledger.newest("recommendations")[1].version == 2
    ledger.commit([version(3, None, 3)])
    assert dict(ledger.live("recommendations")) == {}
    assert [each.version for each in ledger.committed(1.5, 3.5)] == [1, 3]


def test_who_holds_exactly_the_newest_matching_rows_has_lost_nothing() -> None:
    ledger = ledger_of(
        version(1, "pending", 1),
        version(1, "pending", 1, row_id=2),
        version(2, "approved", 2, row_id=2),
        version(1, None, 3, row_id=3),
    )
    assert list(lost_events("c", PENDING, {1: (1, {"status": "pending"})}, ledger)) == []


@pytest.mark.parametrize(
    ("held", "lost"),
    [
        ({}, (1, 0)),
        ({1: (1, {"status": "pending"})}, (1, 1)),
        ({1: (2, {"status": "approved"})}, (1, 2)),
        ({1: (2, {"status": "pending"}), 2: (1, {"status": "pending"})}, (2, 1)),
        ({1: (2, {"status": "pending"}), 9: (1, {"status": "pending"})}, (None, 1)),
    ],
)
def test_what_is_missing_old_gone_or_made_up_is_found(
    held: dict[int, tuple[int, dict[str, str]]], lost: tuple[int | None, int]
) -> None:
    ledger = ledger_of(
        version(1, "pending", 1),
        version(2, "pending", 2),
        version(1, "pending", 1, row_id=2),
        version(2, None, 2, row_id=2),
    )
    found = [
        (each.version.id if each.version else None, each.holds)
        for each in lost_events("c", PENDING, held, ledger)
    ]
    assert found == [lost]


def test_bare_rows_may_keep_what_left_their_filter_and_what_was_before_their_time() -> None:
    ledger = ledger_of(
        version(1, "pending", 1),
        version(2, "approved", 5),
        version(1, "pending", 2, row_id=2),
        version(1, "pending", 6, row_id=3),
    )
    held = {1: (1, {"status": "pending"})}
    assert [each.version for each in lost_rows("c", PENDING, held, ledger, 4.0)] == [
        version(1, "pending", 6, row_id=3)
    ]
    assert len(list(lost_rows("c", PENDING, held, ledger, 0.0))) == 2
    made_up = {3: (7, {"status": "pending"})}
    assert len(list(lost_rows("c", PENDING, made_up, ledger, 9.0))) == 1


def test_a_version_that_is_skipped_took_as_long_as_the_newer_one() -> None:
    ledger = ledger_of(version(1, "pending", 10), version(2, "pending", 19))
    assert slowest(ledger, Taken(1, 0, 2), now=20) == [(2, 1.0), (1, 10.0)]


def test_what_never_concerned_the_client_is_not_owed() -> None:
    ledger = ledger_of(
        version(1, "approved", 1), version(2, "rejected", 2), version(3, "pending", 20)
    )
    assert slowest(ledger, Taken(1, 0, 3), now=21) == [(3, 1.0)]


def test_the_end_of_a_match_is_owed_to_those_who_are_told_of_it() -> None:
    ledger = ledger_of(version(1, "pending", 1), version(2, "approved", 10), version(3, None, 11))
    assert slowest(ledger, Taken(1, 1, 2), now=12) == [(2, 2.0)]
    assert slowest(ledger, Taken(1, 1, 3), now=12) == [(2, 2.0)]
    assert slowest(ledger, Taken(1, 1, 2), now=12, ends=False) == []


def test_time_before_the_client_was_ready_does_not_count() -> None:
    ledger = ledger_of(version(1, "pending", 1), version(2, "pending", 2))
    assert slowest(ledger, Taken(1, 0, 2), now=31, ready_at=30) == [(2, 1.0)]
    assert slowest(ledger, Taken(1, 0, 2), now=31, ready_at=float("inf")) == []


def test_a_commit_under_way_when_the_client_got_ready_may_have_hidden_what_was_before() -> None:
    versions = version(1, "pending", 1), version(2, "approved", 31, sent=29)
    ledger = ledger_of(*versions, version(3, "pending", 60))
    assert slowest(ledger, Taken(1, 0, 3), now=61, ready_at=30) == [(3, 1.0)]
    assert slowest(ledger, Taken(1, 0, 3), now=61, ready_at=28) == [(3, 1.0), (2, 30.0), (1, 33.0)]


def test_outages_cover_what_was_committed_up_to_their_end() -> None:
    outages = Outages(BOUND, RECOVERY)
    first = outages.begin(10)
    assert outages.counts_from(5) == float("inf")
    outages.end(first, 20)
    second = outages.begin(25)
    outages.end(second, 30)
    assert outages.counts_from(3) == 3
    assert outages.counts_from(5) == 32
    assert outages.counts_from(26) == 32
    assert outages.counts_from(31) == 31


def test_what_arrives_without_ever_being_committed_is_named() -> None:
    ledger = Ledger()
    arrivals = Arrivals(ledger, Outages(BOUND, RECOVERY))
    for number in (1, 2, 3):
        arrivals.took("c", PENDING, Taken(1, number - 1, number), 0, 1, ends=True)
    ledger.commit([version(3, "pending", 1)])
    ledger.passing.add(("recommendations", 1, 2))
    assert arrivals.never_committed() == [("recommendations", 1, 1)]
