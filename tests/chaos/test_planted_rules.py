"""The property test and its model find rules that are taken from the deduplicator and the logs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from relay.stream.change import HOTSPOTS
from relay.stream.filters import Filter
from tests.chaos.planted import BUGS
from tests.relay.model import Database
from tests.relay.nodes import Client, Node
from tests.relay.test_delivery import Delivery

# Always the same interleavings, and none of the work to make one that fails shorter.
SETTINGS = settings(
    max_examples=2000,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
LONG_TRANSACTIONS = ("begin", "write", "end", "commit_and_wait_for_a_standby")
PARTS_OF_CATCH_UP = ("catch_up", "read_page")
READING_SLOWLY = ("come", "read_log")


class WhatClientsGet(Delivery):
    """Nothing counts but what arrives."""

    def the_map_holds_only_what_the_last_catch_up_did_not_show(self) -> None:
        """No invariant here: planted bugs may well break it, and harm nobody."""


def without(rules: Sequence[str]) -> type[Delivery]:
    """The machine with fewer rules, which sooner comes to what needs only the others."""
    return type("Fewer", (WhatClientsGet,), dict.fromkeys(rules))


@pytest.mark.parametrize(
    ("bug", "left_out"),
    [
        ("no-dedup", ()),
        ("no-leave", ()),
        ("deletions-final", LONG_TRANSACTIONS),
        ("reads-complete", ()),
        ("deletions-forgotten", LONG_TRANSACTIONS + PARTS_OF_CATCH_UP + READING_SLOWLY),
    ],
)
def test_the_property_test_finds_a_planted_bug(
    bug: str, left_out: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    BUGS[bug](monkeypatch.setattr)
    with pytest.raises(AssertionError) as found:
        run_state_machine_as_test(without(left_out), settings=SETTINGS)
    assert found.traceback[-1].name in ("take", "teardown")


def test_without_a_bug_fewer_rules_find_nothing() -> None:
    few = settings(SETTINGS, max_examples=50)
    run_state_machine_as_test(without(LONG_TRANSACTIONS + READING_SLOWLY), settings=few)


def resumed_after_a_live_row_overtook_a_catch_up() -> tuple[Client, Database]:
    """A client comes from another relay to one where, while a catch-up was under way, a row came
    live that this catch-up does not show, and the client does not know."""
    database = Database()
    first, second = Node(database, 1000), Node(database, 1_000_000)
    client = Client(Filter(HOTSPOTS))
    first.come(client)
    first.read(first.readings[0])
    first.finish(first.readings[0])
    first.leave(client)
    second.begin_catch_up()
    transaction = database.begin()
    database.insert(transaction, "active")
    second.broker.take(database.end(transaction, commit=True))
    second.read_page(100)
    second.come_back(client)
    return client, database


def test_the_model_of_relays_finds_a_head_that_is_taken_at_completion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Too seldom found by chance, so that the interleaving is given."""
    client, database = resumed_after_a_live_row_overtook_a_catch_up()
    assert list(client.held) == [row.id for row in database.rows()] == [1]
    BUGS["head-at-completion"](monkeypatch.setattr)
    client, _ = resumed_after_a_live_row_overtook_a_catch_up()
    assert client.held == {}
