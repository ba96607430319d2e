"""Which factor a vehicle gets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worker.kilograms.conftest import FACTORS, event, kilograms, trip
from worker.events import Implausible
from worker.suppliers import LOADS_NEEDED, Supplier, Suppliers, smallest_class

PER_KM = {"distance_km": 100.0}


def van(fuel: str | None, **columns: Any) -> Any:
    return kilograms(
        event("delivery", vehicle_type="van", fuel_type=fuel, route_length=100, **columns)
    )


@pytest.mark.parametrize(
    ("columns", "cls", "kg", "flags"),
    [
        # A class by the load: one kg more is the next class.
        ({"load_kg": 2182}, "rigid_7_5", 67.012, {"class_from_load"}),
        ({"load_kg": 2183}, "rigid_17", 77.136, {"class_from_load"}),
        ({"load_kg": 17_857}, "artic_over_33", 132.217, {"class_from_load", "load_clamped"}),
        ({"load_kg": None}, "hgv_any", 110.275, {"class_assumed", "load_assumed"}),
        ({"load_kg": None, "vehicle_class": "rigid_17"}, "rigid_17", 74.954, {"load_assumed"}),
        ({"vehicle_type": None}, "hgv_any", 82.944, {"vehicle_assumed", "class_assumed"}),
        ({"fuel_type": None}, "rigid_7_5", 59.196, {"fuel_assumed"}),
        ({"fuel_type": "hybrid"}, "rigid_7_5", 59.196, {"fuel_proxy"}),
        ({"vehicle_capacity_kg": 900}, "rigid_7_5", 62.088, set()),
    ],
)
def test_a_truck(columns: dict[str, Any], cls: str, kg: float, flags: set[str]) -> None:
    found = kilograms(trip(**(PER_KM | columns)))
    assert found.vehicle_class == cls
    assert found.co2_kg == kg
    assert flags <= set(found.flags)
    if flags:
        assert found.method == "default"


def test_a_declared_class_with_its_load_is_modelled() -> None:
    found = kilograms(trip(vehicle_class="Rigid-7-5"))
    assert (found.method, found.dq, found.estimated) == ("modelled", 3, False)


def test_vans_two_wheelers_and_small_trucks() -> None:
    assert van("diesel").co2_kg == 31.689
    assert van(None).co2_kg == 31.689
    assert "fuel_assumed" in van(None).flags
    assert van("petrol", vehicle_class="van_II").co2_kg == 26.948
    assert van("hybrid").co2_kg == 31.56
    assert "fuel_proxy" in van("hybrid").flags
    assert van("hybrid_plug_in").co2_kg == 18.35
    assert van("cng", vehicle_class="van_III").co2_kg == 30.289
    assert "class_proxy" in van("cng", vehicle_class="van_III").flags
    assert van("diesel", load_kg=10).co2_kg == van("diesel", load_kg=1700).co2_kg
    bike = event("delivery", vehicle_type="2w", route_length=100, vehicle_class="small")
    assert kilograms(bike).co2_kg == 10.467
    mini = {"vehicle_type": "mini_truck", **PER_KM}
    assert kilograms(trip(**mini, load_kg=1760)).co2_kg == 34.584
    assert kilograms(trip(**mini, load_kg=1761)).vehicle_class == "rigid_7_5"


@pytest.mark.parametrize(
    "columns",
    [
        {"fuel_type": "petrol"},
        {"fuel_type": "lpg"},
        {"fuel_type": "electric"},
        {"vehicle_type": "mini_truck", "fuel_type": "petrol"},
        {"vehicle_type": "mini_truck", "fuel_type": "electric"},
        {"vehicle_type": "two_wheeler", "fuel_type": "electric", "load_kg": 5},
        {"vehicle_type": "van", "temperature_control": "refrigerated"},
        {"vehicle_type": "truck_cng", "fuel_type": "cng", "temperature_control": "refrigerated"},
        {"vehicle_class": "van_III"},
        {"vehicle_type": "van", "vehicle_class": "artic_33"},
        {"shared_vehicle": True, "fuel_type": "lpg"},
    ],
)
def test_what_has_no_factor_needs_measured_fuel_or_energy(columns: dict[str, Any]) -> None:
    with pytest.raises(Implausible, match="no factor") as held:
        kilograms(trip(**columns))
    assert held.value.kind == "factor"
    stated = {"co2e_kg": 20, "co2e_boundary": "wtw", "co2e_method": "ISO 14083"}
    assert kilograms(trip(**columns, **stated)).co2_kg == 20


def test_measured_energy_of_what_has_no_factor() -> None:
    truck = trip(fuel_type="electric", energy_kwh=100, country="GB", vehicle_class="artic_33")
    assert (kilograms(truck).co2_kg, kilograms(truck).method) == (24.54, "primary")
    assert kilograms(trip(fuel_type="petrol", fuel_litres=30)).co2_kg == 79.503
    ignored = kilograms(trip(energy_kwh=100))
    assert ignored.co2_kg == 71.035


def test_an_unknown_class_is_told_with_the_known_ones() -> None:
    with pytest.raises(Implausible, match=r"'lorry' is unknown \(known: artic_33"):
        kilograms(trip(vehicle_class="lorry"))


def test_empty_kilometres_count_and_their_absence_is_told() -> None:
    assert "empty_excluded" in kilograms(trip()).flags
    found = kilograms(trip(empty_km=0))
    assert "empty_excluded" not in found.flags
    assert kilograms(trip(empty_km=100)).co2_kg == pytest.approx(71.035 + 57.165, abs=0.002)


def test_a_shared_vehicle_needs_its_load() -> None:
    with pytest.raises(Implausible, match="a shared vehicle needs load_kg"):
        kilograms(trip(shared_vehicle=True, load_kg=None))


# What is fixed for a supplier


def of(**columns: Any) -> Supplier:
    return Supplier("A", **columns)


def test_a_class_that_a_person_set_is_a_setting() -> None:
    supplier = of(vehicle_class="artic_33", vehicle_class_origin="person", vehicle_capacity_kg=900)
    found = kilograms(trip(), supplier)
    assert found.inputs["vehicle_class"] == ("artic_33", "setting")
    assert found.inputs["payload_kg"] == (900, "setting")
    assert found.method == "modelled"
    event_first = kilograms(trip(vehicle_class="rigid_17", vehicle_capacity_kg=500), supplier)
    assert event_first.inputs["vehicle_class"] == ("rigid_17", "event")
    assert event_first.inputs["payload_kg"] == (500, "event")


def test_a_class_from_loads_is_an_assumption() -> None:
    found = kilograms(trip(), of(vehicle_class="rigid_17", vehicle_class_origin="loads"))
    assert found.vehicle_class == "rigid_17"
    assert "class_from_load" in found.flags
    assert (found.method, found.dq) == ("default", 4)
    heavy = kilograms(
        trip(load_kg=9000), of(vehicle_class="rigid_17", vehicle_class_origin="loads")
    )
    assert (heavy.vehicle_class, "load_clamped" in heavy.flags) == ("rigid_17", True)


def test_the_class_is_fixed_after_twelve_loads_and_then_stays() -> None:
    suppliers = Suppliers([], FACTORS.truck_classes)
    for number in range(LOADS_NEEDED - 1):
        suppliers.learn(trip(load_kg=2000 + number))
    assert suppliers.of(trip()).vehicle_class is None
    for other in (
        trip(load_kg=None),
        trip(load_kg=9000, vehicle_class="artic_33"),
        trip(load_kg=9000, shared_vehicle=True),
        event("delivery", vehicle_type="van", load_kg=900, route_length=5),
    ):
        suppliers.learn(other)
    assert suppliers.of(trip()).loads == LOADS_NEEDED - 1
    suppliers.learn(trip(load_kg=4000))
    assert suppliers.of(trip()).vehicle_class == "rigid_17"
    suppliers.learn(trip(load_kg=20_000))
    assert suppliers.rows() == [
        {
            "supplier_id": "A",
            "vehicle_class": "rigid_17",
            "vehicle_class_origin": "loads",
            "loads": LOADS_NEEDED,
            "largest_load_kg": 4000.0,
        }
    ]


def test_the_largest_class_takes_what_no_class_holds() -> None:
    assert smallest_class(100_000, FACTORS.truck_classes) == "artic_over_33"
    assert smallest_class(0, FACTORS.truck_classes) == "rigid_7_5"
