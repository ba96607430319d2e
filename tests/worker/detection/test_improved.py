"""A lasting improvement is told once; a weekend is none."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from worker import backtest
from worker.detection.observation import Rules
from worker.kilograms.energy import Basis
from worker.kilograms.factors import load
from worker.readings import Reader

BASIS = Basis(load(), "DEU")
BEGIN = datetime(2026, 1, 5, 6, tzinfo=UTC)


def meter(seed: int, *, weekend: float, better_from: int | None = None) -> list[dict[str, Any]]:
    """Half a year of a meter that is read each day, by 30 % better from some day on."""
    chance = random.Random(seed)
    rows = []
    for day in range(182):
        at = BEGIN + timedelta(days=day)
        kwh = (600 if at.weekday() < 5 else weekend) * chance.gauss(1, 0.04)
        kwh *= 0.7 if better_from is not None and day >= better_from else 1
        event = {"supplier_id": "A", "event_type": "warehouse", "energy_kwh": round(kwh, 1)}
        rows.append(event | {"timestamp": at.isoformat()})
    return rows


def told(rows: list[dict[str, Any]]) -> tuple[int, int]:
    """Give how many improvements were told, and how many hotspots."""
    labelled = [(row, "") for row in rows]
    judged, notices = backtest.run(labelled, BASIS, Reader(BASIS.factors), Rules())
    return notices["improved"], sum(event.opened for event in judged)


@pytest.mark.parametrize("weekend", [300, 450, 600])
@pytest.mark.parametrize("seed", range(5))
def test_a_meter_that_rests_at_weekends_has_not_improved(seed: int, weekend: float) -> None:
    assert told(meter(seed, weekend=weekend)) == (0, 0)


@pytest.mark.parametrize("weekend", [300, 450, 600])
@pytest.mark.parametrize("seed", range(5))
def test_a_lasting_improvement_is_told_once(seed: int, weekend: float) -> None:
    assert told(meter(seed, weekend=weekend, better_from=120)) == (1, 0)
