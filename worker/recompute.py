"""Computing stored events anew, page by page under the scan lease, before anything is judged."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from worker.database import Database, Lease
from worker.events import Event, Implausible, UnusableEvent
from worker.kilograms.calculate import MODEL_VERSION, Prediction
from worker.kilograms.energy import Basis
from worker.predictions import predict
from worker.suppliers import Suppliers

logger = logging.getLogger(__name__)

PAGE_EVENTS = 500
LOG_EVERY = 10_000  # events

Row = dict[str, Any]
Progress = Callable[[Row], None]
"""Is told the row of `recomputes` after each page."""


def basis_row(basis: Basis) -> Row:
    """Give what decides every prediction; stored, it tells when all have to be made anew."""
    return {
        "factor_set": basis.factors.name,
        "sha256": basis.factors.sha256,
        "formulas": MODEL_VERSION,
        "grid_country": basis.grid_country,
    }


def class_rows(basis: Basis) -> list[list[Any]]:
    """Give the classes of trucks with their payloads in kg, smallest first."""
    return [[cls, float(payload)] for cls, payload in basis.factors.truck_classes]


def ignore(_: Row) -> None:
    """Report to nobody."""


class Recomputer:
    """Works off the recomputations that are asked for.

    The first call of a process compares its factors with those of the stored predictions, and asks
    for a recomputation of all when they differ.
    """

    def __init__(self, basis: Basis, progress: Progress = ignore) -> None:
        self._basis = basis
        self._progress = progress
        self._compared = False

    async def run(
        self,
        database: Database,
        lease: Lease,
        lease_seconds: int,
        counts: Counter[str],
        stop: asyncio.Event,
    ) -> bool:
        """Work off all of them; False when `stop` was set before the end.

        Raises what Database raises. The next run goes on after the last page that was stored.
        """
        while not stop.is_set():
            asked = {} if self._compared else {"basis": basis_row(self._basis)}
            classes = class_rows(self._basis) if asked else None
            wanted = await database.next_recompute(
                lease, lease_seconds, asked.get("basis"), classes
            )
            self._compared = True
            if wanted is None:
                return True
            logger.info(
                "recomputing supplier=%r events=%d reason=%r",
                wanted["supplier_id"] or "all",
                wanted["total"],
                wanted["reason"],
            )
            done = await self._work_off(database, lease, lease_seconds, wanted, stop)
            counts["recomputed"] += done["events"] - wanted["events"]
            counts["quarantined"] += done["quarantined"] - wanted["quarantined"]
        return False

    async def _work_off(
        self,
        database: Database,
        lease: Lease,
        lease_seconds: int,
        wanted: Row,
        stop: asyncio.Event,
    ) -> Row:
        logged = wanted["events"]
        while wanted["state"] == "running" and not stop.is_set():
            page = await database.recompute_page(lease, lease_seconds, wanted["id"], PAGE_EVENTS)
            result = recomputed(page["events"], page["suppliers"], self._basis)
            wanted = await database.commit_recompute(
                lease, wanted["id"], page["from"], page["to"], result
            )
            self._progress(wanted)
            if wanted["events"] - logged >= LOG_EVERY:
                logged = wanted["events"]
                logger.info("recomputed %d of %d events", logged, wanted["total"])
        if wanted["state"] == "done":
            logger.info(
                "recomputed %(events)d events: %(changed)d have other kilograms, "
                "%(quarantined)d are quarantined, %(requeued)d can be judged now",
                wanted,
            )
        return wanted


def recomputed(
    events: Sequence[Mapping[str, Any]], suppliers: Sequence[Mapping[str, Any]], basis: Basis
) -> Row:
    """Give the argument `result` of `commit_recompute` for a page."""
    known = Suppliers(suppliers, basis.factors.truck_classes)
    result: Row = {"predictions": [], "quarantined": [], "requeued": []}
    for row in events:
        try:
            event = Event.from_row(row)
        except Implausible as held:
            result["quarantined"].append(held.row(row["id"]))
            continue
        except UnusableEvent:
            continue  # it is dead: nothing was ever computed for it
        outcome = predict(event, known, basis)
        if isinstance(outcome, Implausible):
            result["quarantined"].append(outcome.row(event.id))
        elif row["held"]:
            result["requeued"].append(event.id)
        elif isinstance(outcome, Prediction):
            result["predictions"].append(
                {"event_id": event.id, **event.key._asdict(), **outcome.row()}
            )
    return result
