"""Changes out of what Realtime and changes_since bring."""

import json
from typing import Any

import pytest

from relay.stream.change import (
    ALERTS,
    HOTSPOTS,
    Incomplete,
    encode,
    from_caught,
    from_live,
    from_row,
)
from tests.relay.rows import hotspot


def live(record: dict[str, Any] | None, **members: Any) -> dict[str, Any]:
    columns = [{"name": name, "type": "text"} for name in hotspot()]
    return {
        "schema": "public",
        "table": "hotspots",
        "type": "UPDATE",
        "errors": None,
        "columns": columns,
        "record": record,
    } | members


def test_a_row_loses_its_stamps_and_keeps_everything_else() -> None:
    found = from_row(HOTSPOTS, hotspot(7, version=3, tx=90, note=None))
    assert (found.id, found.version, found.tx) == (7, 3, 90)
    assert found.changed_at == "2026-01-05T09:14:02.118+00:00"
    assert found.record == {
        "id": 7,
        "entity": "SUP-1",
        "entity_type": "supplier",
        "severity": "warn",
        "status": "active",
        "predicted_co2": 12.5,
        "note": None,
    }


def test_a_live_row_and_a_caught_one_are_the_same_change() -> None:
    row = hotspot(7, version=3)
    entry = {"t": 1, "tx": 100, "id": 7, "deleted_version": None, "record": row}
    assert from_live(live(row)) == from_caught(entry)


def test_a_caught_deletion_carries_its_version() -> None:
    found = from_caught({"t": 2, "tx": 9, "id": 4, "deleted_version": 6, "record": None})
    assert (found.endpoint, found.id, found.version, found.tx) == (ALERTS, 4, 6, 9)
    assert found.record is None


@pytest.mark.parametrize(
    "message",
    [
        live(hotspot(), errors=["Error 413: Payload Too Large"]),
        live({name: value for name, value in hotspot().items() if name != "entity"}),
        live(None),
        live({}),
        live(None, type="DELETE", old_record={"id": 7}),
        live(hotspot(), table="scans"),
        live(hotspot() | {"version": None}),
        live(hotspot() | {"tx": "100"}),
    ],
    ids=["errors", "column", "null", "empty", "deletion", "table", "version", "tx"],
)
def test_an_incomplete_live_row_is_not_taken_for_a_change(message: dict[str, Any]) -> None:
    with pytest.raises(Incomplete):
        from_live(message)


def test_the_real_server_leaves_an_unchanged_large_column_out() -> None:
    recorded = json.loads(
        """{"table":"hotspots","type":"UPDATE","record":{"b": null, "en": "e2", "id": 3},
        "columns":[{"name": "id", "type": "int8"}, {"name": "b", "type": "int8"},
        {"name": "nu", "type": "text"}, {"name": "en", "type": "text"}],
        "errors":null,"schema":"public","commit_timestamp":"2026-11-23T06:28:58.772Z",
        "old_record":{"id": 3}}"""
    )
    with pytest.raises(Incomplete, match="without nu"):
        from_live(recorded)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"n": 9007199254740993}, '{"n":9007199254740993}'),
        ({"n": 0.1, "m": 12.5, "k": 3}, '{"n":0.1,"m":12.5,"k":3}'),
        ({"t": "Zürich ✓"}, '{"t":"Zürich ✓"}'),
    ],
)
def test_values_are_written_as_they_came(value: dict[str, Any], text: str) -> None:
    assert encode(value) == text
