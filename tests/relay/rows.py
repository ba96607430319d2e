"""Rows and changes for tests."""

from typing import Any

from relay.stream.change import HOTSPOTS, Change, Endpoint
from relay.stream.encoding import texts


def hotspot(row_id: int = 7, version: int = 1, tx: int = 100, **columns: Any) -> dict[str, Any]:
    """A whole row of hotspots, stamps included."""
    row = {
        "id": row_id,
        "entity": "SUP-1",
        "entity_type": "supplier",
        "severity": "warn",
        "status": "active",
        "predicted_co2": 12.5,
        "version": version,
        "tx": tx,
        "changed_at": "2026-01-05T09:14:02.118+00:00",
    }
    return row | columns


def change(
    row_id: int = 7,
    version: int = 1,
    tx: int = 100,
    *,
    endpoint: Endpoint = HOTSPOTS,
    deleted: bool = False,
    **columns: Any,
) -> Change:
    """A change of a row of the endpoint."""
    record = {"id": row_id, "entity": "SUP-1", "severity": "warn", "status": "active"} | columns
    return Change(
        endpoint, row_id, version, tx, None if deleted else record, "2026-01-05T09:14:02Z"
    )


def text(frame: bytes) -> str:
    """The message in a single frame."""
    return next(texts(frame))
