"""kg CO2e of a transport by distance, vehicle class and load.

There is no term for speed, stops, traffic or drops: the published averages contain mean driving,
so adding one would count it twice.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from worker.events import Event, Implausible
from worker.kilograms.energy import Basis, grid_factor, year_of
from worker.kilograms.factors import DESNZ, TONNE_KM, VehicleFactor, qualified
from worker.kilograms.plausible import VAN_LOAD_KG, kilometres
from worker.kilograms.terms import MODELLED, PROXY, ZERO, Estimate, Grid, Record, Term, decimal
from worker.suppliers import Supplier, smallest_class

ANY_TRUCK, ANY_VAN, ANY_TWO_WHEELER = "hgv_any", "van_average", "motorbike_average"
HALF = Decimal("0.5")
BETWEEN = ("empty", "half"), ("half", "full")  # up to half laden, and above
LADEN = (
    "{0} kg of {1} kg = {2:.2f} % laden: {3} + ({4} - {3}) x {5:.6f}, "
    "ttw {6} to {7}, wtt {8} to {9}"
)
USUAL_FUEL = {"two_wheeler": "petrol", "electric_vehicle": "electric", "truck_cng": "cng"}
TWO_WHEELER_SIZES = ("small", "medium", "large", "average")


def modelled(event: Event, supplier: Supplier, basis: Basis) -> Estimate:
    """Give the kilograms by the model. Raises Implausible when an input or a factor is missing."""
    km = kilometres(event)
    if km is None:
        raise Implausible("energy", "it gives no distance and no measured fuel, energy or co2e_kg")
    return _Model(event, supplier, basis, km).estimate()


class _Model:
    def __init__(self, event: Event, supplier: Supplier, basis: Basis, km: float) -> None:
        self._event, self._supplier, self._basis, self._km = event, supplier, basis, km
        self._record = Record(dq=MODELLED)
        self._temperature = event.temperature_control or "ambient"
        self._grid: Grid | None = None

    def estimate(self) -> Estimate:
        name = "route_length" if self._km is self._event.route_length else "distance_km"
        self._record.take(name, self._km)
        if self._event.temperature_control is not None:
            self._record.take("temperature_control", self._temperature)
        declared = self._declared_class()
        vehicle, fuel = self._vehicle(declared), ""
        fuel = self._fuel(vehicle)
        if vehicle in ("truck", "truck_cng") and self._event.shared_vehicle:
            return self._shared(fuel)
        factor = self._factor(vehicle, fuel, declared)
        if factor.weak:
            self._record.lower(PROXY)
        terms = [self._term(factor, self._km, empty=False)]
        if self._event.empty_km:
            self._record.take("empty_km", self._event.empty_km)
            terms.append(self._term(factor, self._event.empty_km, empty=True))
        elif self._event.empty_km is None:
            self._record.flag("empty_excluded")
        method = "default" if self._record.assumed else "modelled"
        return Estimate.of(terms, method, self._record, factor.cls, factor.average, self._grid)

    # Which vehicle, fuel and class

    def _declared_class(self) -> str | None:
        """Give the class that the event or a person states."""
        named = self._event.vehicle_class
        if named is None:
            by_person = self._supplier.vehicle_class_origin == "person"
            return self._supplier.vehicle_class if by_person else None
        classes = self._basis.factors.classes
        cls = classes.get(named) or classes.get(named.lower().replace("-", "_").replace(" ", "_"))
        if cls is None and named.lower() in TWO_WHEELER_SIZES:
            cls = f"motorbike_{named.lower()}"
        if cls is None:
            known = ", ".join(sorted(self._basis.factors.classes.values()))
            reason = f"vehicle_class {named!r} is unknown (known: {known})"
            raise Implausible("factor", reason, "vehicle_class", named)
        return cls

    def _vehicle(self, declared: str | None) -> str:
        event = self._event
        vehicle = event.vehicle_type
        if vehicle is not None:
            self._record.take("vehicle_type", vehicle)
            if vehicle == "truck" and event.fuel_type == "cng":
                return "truck_cng"
            if vehicle == "van" and event.fuel_type == "electric":
                return "electric_vehicle"
            return vehicle
        if declared is not None:
            vehicle = _vehicle_of_class(declared)
            self._record.take("vehicle_type", vehicle, self._class_origin())
        else:
            vehicle = "van" if event.event_type == "delivery" else "truck"
            self._record.assume("vehicle_type", vehicle, "vehicle_assumed")
        if vehicle == "van" and event.fuel_type == "electric":
            return "electric_vehicle"
        return "truck_cng" if vehicle == "truck" and event.fuel_type == "cng" else vehicle

    def _fuel(self, vehicle: str) -> str:
        fuel = self._event.fuel_type
        if fuel is None:
            fuel = USUAL_FUEL.get(vehicle, "diesel")
            self._record.assume("fuel_type", fuel, "fuel_assumed")
        else:
            self._record.take("fuel_type", fuel)
        return fuel

    def _class_origin(self) -> str:
        return "event" if self._event.vehicle_class is not None else "setting"

    def _factor(self, vehicle: str, fuel: str, declared: str | None) -> VehicleFactor:
        match vehicle:
            case "truck" | "truck_cng":
                row_fuel = self._proxy(fuel, "diesel") if fuel == "hybrid" else fuel
                found = self._find(vehicle, row_fuel, self._truck_class(declared))
            case "mini_truck":
                found = self._mini_truck(fuel, declared)
            case "van" | "electric_vehicle":
                found = self._van(vehicle, fuel, declared)
            case _:
                cls = self._take_class(declared, ANY_TWO_WHEELER)
                found = self._find(vehicle, fuel, cls)
        if found is None:
            cold = " refrigerated" if self._temperature == "refrigerated" else ""
            reason = (
                f"there is no factor for a{cold} {vehicle.replace('_', ' ')} with {fuel}"
                f"{f' of class {declared}' if declared else ''}: it needs fuel_litres, fuel_kg, "
                "energy_kwh or co2e_kg"
            )
            raise Implausible("factor", reason, "vehicle_type", self._event.vehicle_type)
        return found

    def _find(self, vehicle: str, fuel: str, cls: str) -> VehicleFactor | None:
        return self._basis.factors.vehicle(
            vehicle, fuel, cls, self._temperature, year_of(self._event)
        )

    def _proxy(self, fuel: str, instead: str) -> str:
        self._record.flag("fuel_proxy")
        self._record.lower(PROXY)
        return instead

    def _take_class(self, declared: str | None, average: str) -> str:
        if declared is not None:
            self._record.take("vehicle_class", declared, self._class_origin())
            return declared
        self._record.assume("vehicle_class", average, "class_assumed")
        return average

    def _truck_class(self, declared: str | None) -> str:
        event, load = self._event, self._event.load_kg
        if declared is not None or event.vehicle_type is None:
            return self._take_class(declared, ANY_TRUCK)
        if (learned := self._supplier.vehicle_class) is not None:
            self._record.assume("vehicle_class", learned, "class_from_load")
            return learned
        if load is None:
            return self._take_class(None, ANY_TRUCK)
        cls = smallest_class(load, self._basis.factors.truck_classes)
        self._record.assume("vehicle_class", cls, "class_from_load")
        return cls

    def _mini_truck(self, fuel: str, declared: str | None) -> VehicleFactor | None:
        """The word has no class in the source: a large van, or the smallest lorry."""
        if fuel == "hybrid":
            fuel = self._proxy(fuel, "diesel")
        if fuel not in ("diesel", "cng", "lpg"):
            return None
        if declared is not None:
            cls = self._take_class(declared, declared)
            return self._find(_vehicle_of_class(cls), fuel, cls)
        load = self._event.load_kg
        if load is not None and load > VAN_LOAD_KG:
            self._record.assume("vehicle_class", "rigid_7_5", "class_from_load")
            return self._find("truck_cng" if fuel == "cng" else "truck", fuel, "rigid_7_5")
        cls = "van_III" if fuel == "diesel" else ANY_VAN
        self._record.assume("vehicle_class", cls, "class_assumed")
        return self._find("van", fuel, cls)

    def _van(self, vehicle: str, fuel: str, declared: str | None) -> VehicleFactor | None:
        if vehicle == "van" and fuel == "hybrid":
            fuel = self._proxy(fuel, "unknown")
        cls = self._take_class(declared, ANY_VAN)
        found = self._find(vehicle, fuel, cls)
        if found is None and cls.startswith("van_"):
            found = self._find(vehicle, fuel, ANY_VAN)
            if found is not None and cls != ANY_VAN:
                self._record.flag("class_proxy")
                self._record.lower(PROXY)
        return found

    # kg per km

    def _term(self, factor: VehicleFactor, km: float, *, empty: bool) -> Term:
        if factor.kwh_per_km is not None and (term := self._by_grid(factor, km)) is not None:
            return term
        how: tuple[Any, ...] = ()
        if empty:
            ttw, wtt, ids = factor.ttw.empty, factor.wtt.empty, factor.ids["empty",]
        elif not factor.laden:
            ttw, wtt, ids = factor.ttw.average, factor.wtt.average, factor.ids["average",]
            if self._event.load_kg is not None:
                self._record.take("load_kg", self._event.load_kg)
        else:
            ttw, wtt, ids, how = self._laden(factor)
        return Term(
            f"{factor.label}, empty" if empty else factor.label,
            "electricity" if factor.fuel == "electric" else "fuel",
            decimal(km),
            "km",
            ttw,
            wtt,
            ids,
            factor.year,
            scope2=self._scope2(factor),
            how=how,
        )

    def _by_grid(self, factor: VehicleFactor, km: float) -> Term | None:
        """Give the term by energy and grid, None in the region of the published kg per km."""
        grid = grid_factor(self._event, self._supplier, self._basis, self._record)
        self._grid = grid.grid
        per_km = factor.kwh_per_km
        if grid.grid.country == factor.region or per_km is None:
            self._record.flags = [flag for flag in self._record.flags if flag != "td_missing"]
            return None
        consumption = tuple(
            qualified(factor.factor_set, name.replace("27_303_", "8_303_"))
            for name in factor.ids_wtt[:1]
        )
        return Term(
            f"{factor.vehicle} {factor.cls} electric, {grid.label}",
            "electricity",
            decimal(km) * per_km,
            "kWh",
            ZERO,
            grid.total,
            (*consumption, qualified(factor.factor_set, "7_400_4000_5_1"), *grid.ids),
            grid.year,
            scope2=grid.generation,
            how=("{} km x {} kWh/km", decimal(km), per_km),
        )

    def _scope2(self, factor: VehicleFactor) -> Decimal | None:
        """Give the generated electricity in the published kg per km, where it is known apart."""
        if factor.fuel != "electric" or not factor.ids_wtt:
            return None
        return self._basis.factors.rows.get(factor.ids_wtt[0].replace("27_303_", "8_303_"))

    def _laden(
        self, factor: VehicleFactor
    ) -> tuple[Decimal, Decimal, tuple[str, ...], tuple[Any, ...]]:
        """Interpolate between the published points by how full the vehicle is."""
        load = self._event.load_kg
        if load is None:
            self._record.assume("load_kg", None, "load_assumed")
            ttw, wtt = factor.ttw.average, factor.wtt.average
            return ttw, wtt, factor.ids["average",], ("average load of the fleet",)
        self._record.take("load_kg", load)
        payload = self._payload(factor)
        laden = decimal(load) / payload
        if laden > 1:
            self._record.flag("load_clamped")
            laden = Decimal(1)
        place = 0 if laden <= HALF else 1
        share = 2 * laden - place
        ttw_low, ttw_high = factor.ttw[place : place + 2]
        wtt_low, wtt_high = factor.wtt[place : place + 2]
        low, high = between = BETWEEN[place]
        points = (ttw_low, ttw_high, wtt_low, wtt_high)
        how = (LADEN, load, payload, laden * 100, low, high, share, *points)
        return (
            ttw_low + (ttw_high - ttw_low) * share,
            wtt_low + (wtt_high - wtt_low) * share,
            factor.ids[between],
            how,
        )

    def _payload(self, factor: VehicleFactor) -> Decimal:
        if self._event.vehicle_capacity_kg:
            self._record.take("payload_kg", self._event.vehicle_capacity_kg)
            return decimal(self._event.vehicle_capacity_kg)
        if self._supplier.vehicle_capacity_kg is not None:
            self._record.take("payload_kg", self._supplier.vehicle_capacity_kg, "setting")
            return decimal(self._supplier.vehicle_capacity_kg)
        payload = factor.payload_kg or Decimal(1)  # `laden` says that it is known
        self._record.take("payload_kg", float(payload), "factor")
        return payload

    # A shared vehicle

    def _shared(self, fuel: str) -> Estimate:
        """kg = t x km x the average lorry's kg per tonne-km, which holds its empty running."""
        event, load = self._event, self._event.load_kg
        if load is None:
            raise Implausible("energy", "a shared vehicle needs load_kg", "load_kg")
        if fuel not in ("diesel", "hybrid", "cng"):
            reason = f"there is no factor per tonne-km for a shared truck with {fuel}"
            raise Implausible("factor", reason, "fuel_type", event.fuel_type)
        if fuel != "diesel":
            self._proxy(fuel, "diesel")
        ids = TONNE_KM[self._temperature]
        ttw, wtt = (self._basis.factors.rows[name] for name in ids)
        self._record.take("load_kg", load)
        self._record.take("shared_vehicle", True)
        self._record.assume("vehicle_class", ANY_TRUCK, "tonne_km_average")
        quantity = decimal(load) / 1000 * decimal(self._km)
        term = Term(
            f"shared truck {ANY_TRUCK}, {self._temperature}",
            "fuel",
            quantity,
            "t km",
            ttw,
            wtt,
            tuple(qualified(DESNZ, name) for name in ids),
            2025,
            how=("{} t x {} km", decimal(load) / 1000, decimal(self._km)),
        )
        return Estimate.of([term], "default", self._record, ANY_TRUCK, None, None)


def _vehicle_of_class(cls: str) -> str:
    if cls.startswith("van_"):
        return "van"
    return "two_wheeler" if cls.startswith("motorbike_") else "truck"
