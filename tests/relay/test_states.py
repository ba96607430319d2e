"""Reading the state that new clients get, while the database shows less than was sent on."""

from collections.abc import Sequence
from typing import Any

import pytest

from relay.changes.endpoints import HOTSPOTS
from relay.changes.filters import Filter
from relay.changes.groups import Format
from relay.changes.intake import Intake
from relay.changes.records import Change
from relay.changes.snapshot import Snapshot
from relay.changes.streams import Streams
from relay.changes.wire import texts
from relay.clients.places import Identity, Places
from relay.clients.states import States
from relay.upstream.rest import Page, Rest
from tests.relay.rows import change
from tests.relay.test_groups import Reader

CRITICAL = Filter.of(HOTSPOTS, {"severity": frozenset({"critical"})})


class Behind(Rest):
    """A database that shows these rows of transactions before 101, and nothing newer until
    `changes_since` has been asked so often; then everything."""

    def __init__(self, rows: Sequence[Change], all_rows: Sequence[Change], hidden_for: int) -> None:
        super().__init__("http://127.0.0.1:9", "key")
        self._rows = rows
        self._all_rows = all_rows
        self._hidden_for = hidden_for
        self.asked = 0

    async def newest(self, wanted: Filter, count: int) -> tuple[list[Change], bool]:
        rows = self._rows if self.asked <= self._hidden_for else self._all_rows
        return [row for row in reversed(rows) if wanted.matches(row.record or {})][:count], False

    async def changes_since(self, since: Snapshot | None, **arguments: Any) -> Page:
        self.asked += 1
        upto = Snapshot(101, 101) if self.asked <= self._hidden_for else Snapshot(1 << 40, 1 << 40)
        return Page("1.1", upto, (), False, None, (0, 0, 0))


async def read(
    shown: Sequence[Change],
    sent: Sequence[Change],
    all_rows: Sequence[Change] = (),
    hidden_for: int = 1 << 20,
) -> list[str]:
    """The state of critical hotspots, of which the database shows some and others were sent on."""
    rest, intake = Behind(shown, all_rows, hidden_for), Intake(Streams())
    intake.begin("1.1", Snapshot(100, 100), intake.streams.seqs())
    intake.take(sent)
    group = intake.streams[HOTSPOTS].join(Format.ROWS, CRITICAL, Reader())
    places = Places("key", Identity("this one"), intake, clock=lambda: 0.0, seconds=60)
    states = States(rest, intake, places, max_bytes_since=1 << 20)
    found = await states.read(group)
    await rest.close()
    return [text for row in found.rows for text in texts(row.frame)]


@pytest.mark.parametrize("others", [0, 600, 5000])
async def test_a_new_row_that_the_database_does_not_show_yet_is_in_it(others: int) -> None:
    old, new = change(1, 1, severity="critical", tx=90), change(2, 1, severity="critical", tx=101)
    noise = [change(3 + n, 1, severity="info", tx=102 + n) for n in range(others)]
    (first, second) = await read([old], [new, *noise])
    assert '"id":1,' in first
    assert '"id":2,' in second


async def test_all_rows_of_a_commit_that_waits_for_a_standby_are_in_it() -> None:
    waiting = [change(n, 1, severity="critical", tx=101) for n in range(600)]
    assert len(await read([], waiting)) == 600


async def test_what_is_too_much_to_be_kept_is_read_again_until_it_is_visible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.clients.states.RETRY_SECONDS", 0.0)
    rows = [change(n, 1, severity="critical", tx=101, entity="x" * 30_000) for n in range(700)]
    assert len(await read([], rows, all_rows=rows, hidden_for=2)) == 700


async def test_what_was_deleted_or_left_the_filter_lately_is_not_in_it() -> None:
    sent = [
        change(1, 1, severity="critical", tx=101),
        change(2, 1, severity="critical", tx=102),
        change(1, 2, tx=103, deleted=True),
        change(2, 2, severity="info", tx=104),
    ]
    assert await read([], sent) == []


async def test_what_the_database_shows_is_not_made_older() -> None:
    newer = change(1, 3, severity="critical", tx=103, entity="SUP-3")
    (row,) = await read([newer], [change(1, 1, severity="critical", tx=101, entity="SUP-1")])
    assert "SUP-3" in row
