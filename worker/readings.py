"""From an event and its kilograms to what detectors read of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Self

from worker.detection.observation import DAY, Observation
from worker.detection.periods import Ratio
from worker.detection.series import ABSOLUTE, Reading
from worker.events import Event
from worker.kilograms.calculate import Prediction
from worker.kilograms.factors import FactorSet
from worker.kilograms.plausible import TRANSPORTS, kilometres
from worker.watched import Moment

EPOCH_DAY = date(1970, 1, 1).toordinal()
LOG_USUAL_LOAD = math.log(900)  # of kg
LOAD_SLOPE = -0.9  # one more log unit of load adds .1 to ln kg
BASE_TEMPERATURE = 18.0  # degrees C, below which a site heats, and above which it cools
WARMEST_COLD_ROOM = 10.0  # degrees C
EMPTY_SHARE = 0.85  # kg per km of an empty vehicle, in those of one with its usual load
MEASURED = "primary"

# Of a transport: modelled kilograms follow the vehicle, measured ones the fuel.
PER_KM = Ratio("vehicle", "kg", "km"), Ratio("fuel", "kg", "km")
BY_LOAD = Ratio("load", "planned_km", "activity"), Ratio("distance", "km", "planned_km")
BY_TONNE_KM = tuple((*BY_LOAD, per_km) for per_km in PER_KM)
BY_OTHER = tuple((Ratio("distance", "km", "activity"), per_km) for per_km in PER_KM)
BY_ENERGY = Ratio("energy", "kwh", "activity"), Ratio("carbon", "kg", "kwh")


@dataclass(slots=True)
class Kilograms:
    """What detectors need of a prediction, whether it is new or stored."""

    kg: float
    method: str
    activity: float | None
    basis: str
    country: str
    grid_year: int | None
    vehicle_class: str | None
    kg_per_km: float | None
    kg_model: float | None

    @classmethod
    def of(cls, prediction: Prediction) -> Self:
        """Take a new prediction."""
        grid = prediction.grid
        return cls(
            prediction.co2_kg,
            prediction.method,
            prediction.activity,
            prediction.activity_basis,
            "" if grid is None else grid.country,
            None if grid is None else grid.year,
            prediction.vehicle_class,
            prediction.kg_per_km,
            prediction.kg_model,
        )

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Take a row of `predictions` whose method is known."""
        return cls(
            row["predicted_co2"],
            row["method"],
            row["activity"],
            row["activity_basis"] or ABSOLUTE,
            row["grid_country"] or "",
            row["grid_year"],
            row["vehicle_class"],
            row["kg_per_km"],
            row["kg_model"],
        )


class Reader:
    """Reads events on the tenant's clock, with the factors that their kilograms come from."""

    def __init__(self, factors: FactorSet, zone: tzinfo = UTC) -> None:
        self._zone = zone
        self._factors = factors
        self._log_grids: dict[tuple[str, int | None], float] = {}

    def moment(self, event: Event) -> Moment:
        """Say when the event was. Raises ValueError when it does not say so."""
        if event.occurred_at is None:
            raise ValueError(f"event {event.id} has no time")
        return Moment(event.id, event.occurred_at.timestamp(), self._offset(event.occurred_at))

    def day(self, moment: Moment) -> int:
        """Give the day of an event on the tenant's clock, counted from 1 January 1970."""
        return int((moment.time + moment.offset) // DAY)

    def _offset(self, moment: datetime) -> float:
        if self._zone is UTC:
            return 0.0
        offset = moment.astimezone(self._zone).utcoffset()
        return 0.0 if offset is None else offset.total_seconds()

    def reading(self, event: Event, kilograms: Kilograms, moment: Moment) -> Reading:
        """Give what the detectors of the event's key read of it."""
        time = moment.time + moment.offset
        if event.event_type in TRANSPORTS:
            return _of_transport(event, kilograms, time)
        return _of_site(event, kilograms, time, self._log_grid(kilograms))

    def _log_grid(self, kilograms: Kilograms) -> float:
        """ln(kg per kWh) of an event's grid: another factor of another year is no news."""
        key = kilograms.country, kilograms.grid_year
        found = self._log_grids.get(key)
        if found is None:
            grid = self._factors.grid(*key) if kilograms.country else None
            found = math.log(grid.total) if grid is not None and grid.total else 0.0
            self._log_grids[key] = found
        return found


def day_of(number: float) -> str:
    """Give the date of a day that is counted from 1 January 1970."""
    return date.fromordinal(EPOCH_DAY + int(number)).isoformat()


def _of_transport(event: Event, kilograms: Kilograms, time: float) -> Reading:
    by_tonne_km = kilograms.basis.startswith("t_km")
    load, km = event.load_kg or 0.0, kilometres(event) or 0.0
    by_load = by_tonne_km and load > 0
    covariate = math.log(load) - LOG_USUAL_LOAD if by_load else None
    measured = kilograms.method == MEASURED
    parts: list[tuple[str, float]] = []
    totals: tuple[tuple[str, float], ...]
    ratios: tuple[Ratio, ...]
    if by_tonne_km:
        planned = (kilograms.activity or 0.0) / load * 1000 if by_load else 0.0
        totals, ratios = (("km", km), ("planned_km", planned)), BY_TONNE_KM[measured]
        _add(parts, "load", planned, kilograms.activity)
        _add(parts, "distance", km, planned)
    else:
        totals, ratios = (("km", km),), BY_OTHER[measured]
        _add(parts, "distance", km, kilograms.activity)
    if measured:
        _add(parts, "fuel", kilograms.kg, kilograms.kg_model)
    per_km = kilograms.kg_per_km
    log_factor = math.log(per_km) if per_km else 0.0
    if event.empty_km and km and kilograms.vehicle_class is not None:
        # Whether there is a load for the way back is seen by the days, as the load itself.
        log_factor += math.log1p(EMPTY_SHARE * event.empty_km / km)
    return Reading(
        event.id,
        kilograms.method,
        kilograms.basis,
        kilograms.country,
        Observation(
            time,
            kilograms.kg,
            kilograms.activity,
            covariate,
            kilograms.vehicle_class,
            log_factor,
            measured,
            tuple(parts),
        ),
        LOAD_SLOPE if by_tonne_km else None,
        totals,
        ratios,
    )


def _of_site(event: Event, kilograms: Kilograms, time: float, log_grid: float) -> Reading:
    energy = (event.energy_kwh, event.natural_gas_kwh, event.heat_kwh)
    kwh = sum(amount for amount in energy if amount is not None)
    parts: list[tuple[str, float]] = []
    _add(parts, "energy", kwh, kilograms.activity)
    _add(parts, "carbon", kilograms.kg, kwh)
    return Reading(
        event.id,
        kilograms.method,
        kilograms.basis,
        kilograms.country,
        Observation(
            time,
            kilograms.kg,
            kilograms.activity,
            _degrees(event),
            None,
            log_grid,
            kilograms.method == MEASURED,
            tuple(parts),
        ),
        None,
        (("kwh", kwh),),
        BY_ENERGY,
        site=True,
    )


def _degrees(event: Event) -> float | None:
    """Degrees below the base temperature, divided by 10; negative above.

    Of a cold store it may be the temperature of the room, unless that is too warm for one.
    """
    temperature = event.temperature
    if temperature is None:
        return None
    if event.refrigeration_load or event.temperature_control == "refrigerated":
        return min(0.0, WARMEST_COLD_ROOM - temperature) / 10
    return (BASE_TEMPERATURE - temperature) / 10


def _add(
    parts: list[tuple[str, float]], name: str, over: float | None, under: float | None
) -> None:
    if over is not None and under is not None and over > 0 and under > 0:
        parts.append((name, math.log(over) - math.log(under)))
