"""What the database should hold after scanning some events, written down a second time.

It follows the published factors in the plainest way: one loop, dictionaries, no code of the worker.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

# kg CO2e per km, well to wheel: DESNZ 2025, delivery vehicles and their WTT.
LORRIES = {  # payload in kg: at 0, 50 and 100 % of it
    2182: (0.46138 + 0.11027, 0.50103 + 0.11985, 0.54068 + 0.12944),
    4755: (0.55061 + 0.13207, 0.62832 + 0.15094, 0.70603 + 0.16981),
}
FLAT = {
    ("van", "diesel"): 0.25561 + 0.06128,
    ("two_wheeler", "petrol"): 0.11367 + 0.02956,
    ("electric_vehicle", "electric"): 0.35678 * 0.48079,
}
WORLD_GRID = 0.48079  # kg per kWh, Ember 2023


def kilograms(row: Mapping[str, Any]) -> float | None:
    """Distance, class and load, or metered energy; None for what has no factor or no energy.

    Every load here fits the smallest lorry for as long as a supplier's class is being learned.
    """
    if row["event_type"] != "logistics":
        kwh = row.get("energy_kwh")
        return None if kwh is None else kwh * WORLD_GRID
    vehicle, fuel = row.get("vehicle_type") or "truck", row.get("fuel_type") or "diesel"
    if vehicle != "truck":
        return float(row["distance_km"] * FLAT[vehicle, fuel])
    if fuel == "electric":
        return None
    empty, half, full = LORRIES[2182]
    laden = row["load_kg"] / 2182
    per_km = empty + (half - empty) * 2 * laden
    if laden > 0.5:
        per_km = half + (full - half) * (2 * laden - 1)
    return float(row["distance_km"] * per_km)


def severity(ratio: float) -> str | None:
    if ratio >= 1.5:
        return "critical"
    if ratio >= 1.3:
        return "warn"
    return "info" if ratio >= 1.1 else None


RANK = {"info": 1, "warn": 2, "critical": 3}


def episodes(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every episode in the order of opening: figures of its peak, its alerts, its first excess."""
    found: list[dict[str, Any]] = []
    samples: dict[tuple[str, str], list[float]] = {}
    current: dict[tuple[str, str], dict[str, Any]] = {}
    normal: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row["supplier_id"], row["event_type"])
        seen = samples.setdefault(key, [])
        co2 = kilograms(row)
        if co2 is None:
            continue
        if len(seen) < 5:
            seen.append(co2)
            continue
        median = statistics.median(seen[-50:])
        grade = severity(co2 / median + 1e-4)
        episode = current.get(key)
        if grade is None:
            seen.append(co2)
            normal[key] = normal.get(key, 0) + 1
            if episode and normal[key] == 3:
                episode["status"] = "resolved"
                episode["alerts"].append(("resolved", "info"))
                del current[key]
            continue
        normal[key] = 0
        percent = (co2 - median) / median * 100
        peak = {
            "predicted_co2": co2,
            "baseline_co2": median,
            "percent_above": percent,
            "severity": grade,
        }
        if episode is None:
            current[key] = {
                "entity": key[0],
                "event_type": key[1],
                "status": "active",
                "excess": co2 - median,
                "alerts": [("opened", grade)],
                **peak,
            }
            found.append(current[key])
        elif (RANK[grade], percent) > (RANK[episode["severity"]], episode["percent_above"]):
            if grade != episode["severity"]:
                episode["alerts"].append(("escalated", grade))
            episode.update(peak)
    return found


def samples_of(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], list[float]]:
    """The predictions that make up each baseline."""
    kept: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        seen = kept.setdefault((row["supplier_id"], row["event_type"]), [])
        co2 = kilograms(row)
        if co2 is None:
            continue
        ready = len(seen) >= 5
        if not ready or severity(co2 / statistics.median(seen[-50:]) + 1e-4) is None:
            seen.append(co2)
    return {key: seen[-50:] for key, seen in kept.items() if seen}
