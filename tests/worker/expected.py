"""The kilograms that the database should hold after scanning some events, computed a second time.

It follows the published factors in the plainest way: one loop, dictionaries, no code of the worker.
"""

from __future__ import annotations

from collections.abc import Mapping
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
