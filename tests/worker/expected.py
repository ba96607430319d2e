"""What the database should hold after scanning some events, written down a second time.

It follows the domain notes in the plainest way: one loop, dictionaries, no code of the worker.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

KM = {"two_wheeler": 0.084, "mini_truck": 0.171, "truck": 0.267, "van": 0.143}
TONNE = {"two_wheeler": 0.02, "mini_truck": 0.08, "truck": 0.12, "van": 0.06}
FUEL = {"diesel": 1.0, "petrol": 0.95, "cng": 0.74, "electric": 0.2}


def kilograms(row: Mapping[str, Any]) -> float:
    """Section "generating formulas", for the columns that the sample files have."""
    if row["event_type"] == "logistics":
        speed = 1.2 if row["speed"] < 40 else 1.15 if row["speed"] > 90 else 1.0
        vehicle = row.get("vehicle_type") or "truck"
        per_km = KM[vehicle] * (1 + row["load_kg"] / 1000 * TONNE[vehicle])
        moving = row["distance_km"] * per_km * FUEL[row.get("fuel_type") or "diesel"] * speed
        return float(moving + 0.5 * row["distance_km"] / 50)
    if row["event_type"] == "factory":
        hours = row["shift_hours"]
        furnace = 2.68 * row["furnace_usage"] * hours
        total = 0.475 * row["energy_kwh"] + furnace + 0.385 * row["cooling_load"]
        return float(total * (1 + 0.02 * (hours - 8)))
    volume, cold = row["inventory_volume"], row["refrigeration_load"]
    kwh = row.get("energy_kwh")
    if kwh is None:
        kwh = 0.5 * volume + 15 * max(0, 25 - row["temperature"]) + 100 * cold
    return float(0.475 * kwh + 1.45 * cold + 0.012 * volume)


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
        if len(seen) < 5:
            seen.append(co2)
            continue
        median = statistics.median(seen[-50:])
        grade = severity(round(co2 / median, 9))
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
        ready = len(seen) >= 5
        if not ready or severity(round(co2 / statistics.median(seen[-50:]), 9)) is None:
            seen.append(co2)
    return {key: seen[-50:] for key, seen in kept.items()}
