"""kg CO2e of measured energy: electricity, gas, fuel and heat, of sites and of vehicles."""

from __future__ import annotations

from dataclasses import dataclass

from worker.events import Event, Implausible
from worker.kilograms.countries import WORLD
from worker.kilograms.factors import FactorSet, GridFactor
from worker.kilograms.plausible import TRANSPORTS
from worker.kilograms.terms import (
    ASSUMED,
    DECLARED,
    METERED,
    PROXY,
    ZERO,
    Estimate,
    Grid,
    Record,
    Term,
    decimal,
)
from worker.suppliers import Supplier

HEAT = "heat_steam_onsite"
# A hybrid burns what the average of its kind burns; nobody publishes its litres apart.
BURNT = {"hybrid": "diesel", "hybrid_plug_in": "diesel"}


@dataclass(frozen=True, slots=True)
class Basis:
    """What all events are computed with: the factors, and the grid of those without a country."""

    factors: FactorSet
    grid_country: str | None = None


def year_of(event: Event) -> int | None:
    return None if event.occurred_at is None else event.occurred_at.year


def grid_factor(event: Event, supplier: Supplier, basis: Basis, record: Record) -> GridFactor:
    """Give the factor of the event's electricity. Raises Implausible for a country without one."""
    if event.country is not None:
        country, origin = event.country, "event"
    elif supplier.country is not None:
        country, origin = supplier.country, "setting"
    elif basis.grid_country is not None:
        country, origin = basis.grid_country, "setting"
    else:
        country, origin = WORLD, "assumed"
    factor = basis.factors.grid(country, year_of(event))
    if factor is None:
        reason = f"there is no electricity factor for country {country}"
        raise Implausible("factor", reason, "country", country)
    if origin == "assumed":
        record.assume("country", country, "country_assumed", PROXY)
    else:
        record.take("country", country, origin)
    if factor.weak:
        record.lower(PROXY)
    if factor.grid.basis == "lifecycle":
        record.flag("td_missing")
    return factor


def measured(event: Event, supplier: Supplier, basis: Basis) -> Estimate | None:
    """Add up the measured energy of the event, None when it has none.

    Raises Implausible when there is some, but no factor for it.
    """
    unmeasured = event.fuel_litres is event.fuel_kg is event.energy_kwh is None
    if unmeasured and event.event_type in TRANSPORTS:
        return None
    work = _Measured(event, supplier, basis)
    if event.event_type in ("factory", "warehouse"):
        work.site()
    else:
        work.vehicle()
    return work.estimate()


class _Measured:
    def __init__(self, event: Event, supplier: Supplier, basis: Basis) -> None:
        self._event, self._supplier, self._basis = event, supplier, basis
        self._record = Record()
        self._terms: list[Term] = []
        self._grid: Grid | None = None

    def estimate(self) -> Estimate | None:
        if not self._terms:
            return None
        method = "default" if self._record.assumed else "primary"
        return Estimate.of(self._terms, method, self._record, grid=self._grid)

    def vehicle(self) -> None:
        event = self._event
        self._fuel(_usual_fuel(event))
        if event.energy_kwh is not None:
            if event.vehicle_type == "electric_vehicle" or event.fuel_type in (
                "electric",
                "hybrid_plug_in",
            ):
                self._electricity("energy_kwh", event.energy_kwh)
            else:
                self._record.flag("energy_unused")

    def site(self) -> None:
        event = self._event
        if event.energy_kwh is not None:
            self._electricity("energy_kwh", event.energy_kwh)
        if event.natural_gas_kwh is not None:
            self._burn(
                "natural_gas_kwh", event.natural_gas_kwh, "natural_gas", "kWh_gross", METERED
            )
        self._fuel("diesel")
        if event.heat_kwh is not None:
            self._burn("heat_kwh", event.heat_kwh, HEAT, "kWh", METERED, kind="heat")
            self._record.flag("heat_source_assumed")
            self._record.lower(ASSUMED)
        self._furnace()

    def _electricity(self, name: str, kwh: float) -> None:
        self._record.take(name, kwh)
        factor = grid_factor(self._event, self._supplier, self._basis, self._record)
        self._grid = factor.grid
        self._terms.append(
            Term(
                f"electricity, {factor.label}",
                "electricity",
                decimal(kwh),
                "kWh",
                ZERO,
                factor.total,
                factor.ids,
                factor.year,
                scope2=factor.generation,
            )
        )

    def _fuel(self, usual: str) -> None:
        """Count litres, else kg: both are the same fuel twice."""
        event = self._event
        if event.fuel_litres is None and event.fuel_kg is None:
            return
        fuel = self._fuel_type(usual)
        if event.fuel_litres is not None:
            self._burn("fuel_litres", event.fuel_litres, fuel, "litre", DECLARED)
            if event.fuel_kg is not None:
                self._record.flag("fuel_kg_unused")
        elif event.fuel_kg is not None:
            self._burn("fuel_kg", event.fuel_kg, fuel, "kg", DECLARED)

    def _fuel_type(self, usual: str) -> str:
        fuel = self._event.fuel_type
        if fuel is None:
            self._record.assume("fuel_type", usual, "fuel_assumed")
            return usual
        self._record.take("fuel_type", fuel)
        if fuel in BURNT:
            self._record.flag("fuel_proxy")
            self._record.lower(PROXY)
            return BURNT[fuel]
        return fuel

    def _burn(
        self, name: str, amount: float, fuel: str, unit: str, dq: int, kind: str = "fuel"
    ) -> None:
        factors, year = self._basis.factors, year_of(self._event)
        quantity, per = decimal(amount), unit
        factor = factors.fuel(fuel, unit, year)
        if factor is None and unit == "kg":
            factor, quantity, per = factors.fuel(fuel, "tonne", year), quantity / 1000, "tonne"
        if factor is None:
            reason = f"there is no factor for {fuel} by {unit}"
            raise Implausible("factor", reason, "fuel_type", self._event.fuel_type)
        self._record.take(name, amount)
        self._record.lower(PROXY if factor.weak else dq)
        self._terms.append(
            Term(
                fuel.replace("_", " "),
                kind,
                quantity,
                per,
                factor.ttw,
                factor.wtt,
                factor.ids,
                factor.year,
                biogenic=factor.biogenic,
            )
        )

    def _furnace(self) -> None:
        """A furnace counts only in a unit that is energy, and only once."""
        event = self._event
        usage, unit = event.furnace_usage, event.furnace_unit
        if usage is None:
            return
        hours = event.machine_runtime_hours
        hours = event.shift_hours if hours is None else hours
        if unit == "litre/h" and hours is not None and event.fuel_litres is None:
            fuel = self._fuel_type("diesel")
            self._burn("furnace_usage", usage * hours, fuel, "litre", DECLARED)
        elif unit == "kWh" and event.fuel_type == "natural_gas":
            if event.natural_gas_kwh is None:
                self._burn("furnace_usage", usage, "natural_gas", "kWh_gross", DECLARED)
        elif unit == "kWh" and event.energy_kwh is None and event.fuel_type in (None, "electric"):
            self._electricity("furnace_usage", usage)
        elif usage:
            self._record.flag("furnace_unused")


def _usual_fuel(event: Event) -> str:
    if event.vehicle_type == "two_wheeler":
        return "petrol"
    return "cng" if event.vehicle_type == "truck_cng" else "diesel"
