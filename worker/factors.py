"""Emission factors: the generating formulas of the domain notes, in kg CO2.

Every formula is a plain sum of products, so that a prediction can be followed with a pocket
calculator and never saturates.
"""

from typing import NamedTuple


class VehicleFactor(NamedTuple):
    """kg CO2 per km when empty, and the relative increase per tonne of load."""

    kg_per_km: float
    per_tonne: float


# Domain notes, section "generating formulas", logistics.
VEHICLE_FACTORS = {
    "two_wheeler": VehicleFactor(0.084, 0.02),
    "mini_truck": VehicleFactor(0.171, 0.08),
    "truck": VehicleFactor(0.267, 0.12),
    "truck_cng": VehicleFactor(0.198, 0.09),
    "electric_vehicle": VehicleFactor(0.053, 0.03),
    "van": VehicleFactor(0.143, 0.06),
}
FUEL_FACTORS = {"diesel": 1.0, "petrol": 0.95, "cng": 0.74, "electric": 0.20, "hybrid": 0.65}

SLOW_BELOW, SLOW_FACTOR = 40.0, 1.2  # km/h
FAST_ABOVE, FAST_FACTOR = 90.0, 1.15  # km/h
KG_PER_STOP = 0.5


def logistics_kg(
    *,
    distance_km: float,
    load_kg: float,
    vehicle_type: str,
    fuel_factor: float,
    speed: float,
    stop_events: float,
) -> float:
    """Give the kg CO2 of a transport (domain notes, "generating formulas", logistics)."""
    vehicle = VEHICLE_FACTORS[vehicle_type]
    per_km = vehicle.kg_per_km * (1 + load_kg / 1000 * vehicle.per_tonne)
    return distance_km * per_km * fuel_factor * _speed_factor(speed) + KG_PER_STOP * stop_events


def _speed_factor(speed: float) -> float:
    if speed < SLOW_BELOW:
        return SLOW_FACTOR
    return FAST_FACTOR if speed > FAST_ABOVE else 1.0


def factory_kg(
    *, energy_kwh: float, furnace_usage: float, cooling_load: float, shift_hours: float
) -> float:
    """Give the kg CO2 of a factory shift (domain notes, "generating formulas", factory)."""
    sources = 0.475 * energy_kwh + 2.68 * furnace_usage * shift_hours + 0.385 * cooling_load
    return sources * (1 + 0.02 * (shift_hours - 8))


def warehouse_kg(*, energy_kwh: float, refrigeration_load: float, inventory_volume: float) -> float:
    """Give the kg CO2 of a warehouse period (domain notes, "generating formulas", warehouse)."""
    return 0.475 * energy_kwh + 1.45 * refrigeration_load + 0.012 * inventory_volume


def warehouse_kwh(
    *, temperature: float, refrigeration_load: float, inventory_volume: float
) -> float:
    """Give the kWh that a warehouse is expected to use at a temperature in degrees C."""
    heating = 15 * max(0.0, 25 - temperature)
    return 0.5 * inventory_volume + heating + 100 * refrigeration_load


def delivery_kg(
    *, route_length: float, vehicle_type: str, traffic_score: float, delivery_count: float
) -> float:
    """Give the kg CO2 of a delivery route of so many km (domain notes, delivery)."""
    per_km = VEHICLE_FACTORS[vehicle_type].kg_per_km * (1 + 0.06 * (traffic_score - 5))
    return route_length * per_km * 1.15 + 0.15 * delivery_count
