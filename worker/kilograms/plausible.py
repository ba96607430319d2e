"""Which values no vehicle or site can have, and which are merely unusual.

The limits are this project's own: physics and law of the road, not a sample of data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from operator import attrgetter

from worker.events import Event, Implausible

VAN_LOAD_KG = 1760  # 3.5 t less the usual weight of the empty van, 1.74 t
TRUCK_LOAD_KG = 60_000
USUAL_TRUCK_LOAD_KG = 29_000  # 44 t less tare
TWO_WHEELER_LOAD_KG = 200
MOST_KM = 5000
LEAST_L_PER_100_KM, MOST_L_PER_100_KM = 1, 300
MOST_ENERGY_KWH = 1e9
MOST_KG = 1e12  # beyond it sums would some day stop being exact
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)  # clocks and zones differ

# Column -> least and most, both still plausible.
LIMITS: Mapping[str, tuple[float, float]] = {
    "empty_km": (0, MOST_KM),
    "speed": (0, 130),
    "stop_events": (0, 1000),
    "energy_kwh": (0, MOST_ENERGY_KWH),
    "natural_gas_kwh": (0, MOST_ENERGY_KWH),
    "heat_kwh": (0, MOST_ENERGY_KWH),
    "fuel_litres": (0, MOST_ENERGY_KWH),
    "fuel_kg": (0, MOST_ENERGY_KWH),
    "co2e_kg": (0, MOST_ENERGY_KWH),
    "temperature": (-60, 60),
    "traffic_score": (1, 10),
    "shift_hours": (0, 24),
    "delivery_count": (0, 1000),
    "furnace_usage": (0, MOST_KG),
    "cooling_load": (0, MOST_KG),
    "refrigeration_load": (0, MOST_KG),
    "machine_runtime_hours": (0, MOST_KG),
    "inventory_volume": (0, MOST_KG),
    "throughput_t": (0, MOST_KG),
    "pallets": (0, MOST_KG),
    "output_quantity": (0, MOST_KG),
}
DISTANCES = ("distance_km", "route_length", "sfd_km", "gcd_km", "planned_distance_km")
_LIMITS = tuple(LIMITS.items())
_limited, _distances = attrgetter(*LIMITS), attrgetter(*DISTANCES)
TRANSPORTS = ("logistics", "delivery")
LOADS: Mapping[str, float] = {
    "van": VAN_LOAD_KG,
    "electric_vehicle": VAN_LOAD_KG,
    "two_wheeler": TWO_WHEELER_LOAD_KG,
}


def check(event: Event) -> None:
    """Raise Implausible for the first value past its hard limit, whether it is used or not.

    Of a released event only the time counts: one from the future would make all others late.
    """
    _check_time(event)
    if event.released:
        return
    for place, value in enumerate(_limited(event)):
        if value is not None:
            name, (low, high) = _LIMITS[place]
            if not low <= value <= high:
                limits = f"from {as_written(low)} to {as_written(high)}"
                reason = f"{name} {as_written(value)} is not {limits}"
                raise Implausible("range", reason, name, value)
    for place, value in enumerate(_distances(event)):
        if value is not None and not 0 < value <= MOST_KM:
            name = DISTANCES[place]
            reason = f"{name} {as_written(value)} is not above 0 and up to {MOST_KM}"
            raise Implausible("range", reason, name, value)
    _check_load(event)
    _check_consumption(event)


def _check_load(event: Event) -> None:
    load, capacity = event.load_kg, event.vehicle_capacity_kg
    if capacity is not None and not 0 < capacity <= TRUCK_LOAD_KG:
        reason = (
            f"vehicle_capacity_kg {as_written(capacity)} is not above 0 and up to {TRUCK_LOAD_KG}"
        )
        raise Implausible("range", reason, "vehicle_capacity_kg", capacity)
    most, what = float(TRUCK_LOAD_KG), "any truck"
    if event.event_type in TRANSPORTS:
        vehicle = event.vehicle_type
        if vehicle is not None and vehicle in LOADS:
            most, what = LOADS[vehicle], f"a {vehicle.replace('_', ' ')}"
        elif vehicle is event.vehicle_class is None and event.event_type == "delivery":
            most, what = VAN_LOAD_KG, "the van that is assumed without vehicle_type"
    if load is not None and load > most:
        reason = f"load_kg {as_written(load)} is more than {what} carries ({as_written(most)})"
        raise Implausible("range", reason, "load_kg", load)


def kilometres(event: Event) -> float | None:
    """Give the km driven with the load: of a delivery its route, else the distance."""
    if event.event_type == "delivery" and event.route_length is not None:
        return event.route_length
    return event.distance_km


def litres_per_100_km(event: Event) -> float | None:
    """Give the consumption over all km driven, None where fuel or distance is not known."""
    if event.fuel_litres is None or event.event_type not in TRANSPORTS:
        return None
    if (km := kilometres(event)) is None:
        return None
    driven = km + (event.empty_km or 0)
    return event.fuel_litres / driven * 100 if driven else None


def _check_consumption(event: Event) -> None:
    litres = litres_per_100_km(event)
    if litres is not None and not LEAST_L_PER_100_KM <= litres <= MOST_L_PER_100_KM:
        reason = (
            f"fuel_litres {as_written(event.fuel_litres or 0)}: {_plain(litres)} litres per 100 km "
            f"are not from {LEAST_L_PER_100_KM} to {MOST_L_PER_100_KM}"
        )
        raise Implausible("range", reason, "fuel_litres", event.fuel_litres)


def as_written(value: float) -> str:
    """Give a number as a file has it, so that it is found there: 1200000, not 1.2e+06."""
    return f"{value:.15g}"


def _plain(value: float) -> str:
    """Give a number with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")


def _check_time(event: Event) -> None:
    moment = event.occurred_at
    if moment is None:
        return
    if moment < EARLIEST:
        reason = f"timestamp {moment.isoformat()} is before the year 2000"
        raise Implausible("time", reason, "timestamp", moment.isoformat())
    if event.arrived_at is not None and moment > event.arrived_at + AHEAD:
        reason = f"timestamp {moment.isoformat()} is more than a day after the event arrived"
        raise Implausible("time", reason, "timestamp", moment.isoformat())


def unusual(event: Event) -> Iterator[str]:
    """Give the flags of values that are possible but seldom right."""
    km = kilometres(event)
    if (km or 0) > 900:  # ten hours at 90 km/h
        yield "distance_high"
    if event.event_type in TRANSPORTS and event.vehicle_type in ("truck", "truck_cng", None):
        if (event.load_kg or 0) > USUAL_TRUCK_LOAD_KG:
            yield "load_high"
        if (event.speed or 0) > 90:
            yield "speed_high"
    if event.stop_events and km and event.stop_events > km:
        yield "stops_high"
    if event.temperature is not None and not -35 <= event.temperature <= 45:
        yield "temperature_unusual"
    if (event.machine_runtime_hours or 0) > 24:
        yield "machine_hours_high"
    if (event.delivery_count or 0) > 300:
        yield "deliveries_high"
    litres = litres_per_100_km(event)
    if litres is not None and litres > 100 and (km or 0) < 20:
        yield "consumption_unusual"


UNUSUAL = frozenset(
    {
        "distance_high",
        "load_high",
        "load_clamped",
        "speed_high",
        "stops_high",
        "temperature_unusual",
        "machine_hours_high",
        "deliveries_high",
        "consumption_unusual",
        "primary_disagrees",
    }
)
