"""What clients hold at the end against what the ledger says. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chaos.ledger import Ledger, Row, Version
from chaos.subscriptions import Subscription

Held = Mapping[int, tuple[int, Row]]


@dataclass(frozen=True, slots=True)
class Lost:
    """A version that a client should have by now; `holds` is the one it has instead, 0 for none."""

    client: str
    version: Version | None
    holds: int
    what: str


def lost_events(client: str, wanted: Subscription, held: Held, ledger: Ledger) -> Iterator[Lost]:
    """What a client of relay.v1 lacks or holds in excess: nothing, if all is well."""
    newest = ledger.newest(wanted.table)
    expected = _matching(wanted, ledger)
    for row_id in expected.keys() | held.keys():
        version, (holds, row) = expected.get(row_id), held.get(row_id, (0, None))
        if version is None:
            yield Lost(client, newest.get(row_id), holds, "holds what is gone or does not match")
        elif holds != version.version or row != version.row:
            yield Lost(client, version, holds, "holds another version")


def lost_rows(
    client: str, wanted: Subscription, held: Held, ledger: Ledger, since: float
) -> Iterator[Lost]:
    """The same for bare rows, which get no LEAVE and nothing committed before `since`."""
    newest = ledger.newest(wanted.table)
    for row_id, version in _matching(wanted, ledger).items():
        holds, row = held.get(row_id, (0, None))
        if version.committed > since and (holds != version.version or row != version.row):
            yield Lost(client, version, holds, "holds another version")
    for row_id, (holds, _) in held.items():
        now = newest.get(row_id)
        if now is None or not ledger.knows(wanted.table, row_id, holds):
            yield Lost(client, now, holds, "holds what was never committed")
        elif now.row is None and now.committed > since:
            yield Lost(client, now, holds, "holds what is gone")


def _matching(wanted: Subscription, ledger: Ledger) -> dict[int, Version]:
    return {
        row_id: version
        for row_id, version in ledger.live(wanted.table).items()
        if version.row is not None and wanted.matches(version.row)
    }
