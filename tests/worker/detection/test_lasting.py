"""What lasts, better or worse, is told once and becomes what is usual; a weekend does not last."""

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
SHIFT_DAY, DAYS = 60, 240


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


@pytest.mark.parametrize("times", [1.15, 1.3, 1.6])
@pytest.mark.parametrize("daily", [1, 4])
@pytest.mark.parametrize("seed", range(2))
def test_a_lasting_shift_ends_as_the_new_normal(times: float, daily: int, seed: int) -> None:
    """Its periods alone would hold the hotspot open for most of a year."""
    chance = random.Random(seed)
    rows = []
    for day in range(DAYS):
        for hour in range(daily):
            at = BEGIN + timedelta(days=day, hours=2 * hour)
            kwh = 1000 * chance.gauss(1, 0.05) * (times if day >= SHIFT_DAY else 1)
            event = {"supplier_id": "A", "event_type": "factory", "energy_kwh": round(kwh, 1)}
            event |= {"output_quantity": round(10 * chance.gauss(1, 0.02), 2), "output_unit": "t"}
            rows.append((event | {"timestamp": at.isoformat()}, ""))
    judged, notices = backtest.run(rows, BASIS, Reader(BASIS.factors), Rules())
    assert notices["new_normal"] >= 1
    assert sum(event.opened for event in judged) == 1
    open_days = [number // daily for number, event in enumerate(judged) if event.is_open]
    assert SHIFT_DAY <= open_days[0] < SHIFT_DAY + 20
    assert open_days[-1] < SHIFT_DAY + 90, "sixty steady events, and thirty days"
