"""Which data win, what is told beside the kilograms, and what must hold for every event."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.worker.kilograms.conftest import event, kilograms, trip
from worker.events import QUANTITIES, Event, Implausible
from worker.kilograms.calculate import Prediction
from worker.suppliers import Supplier

KM = st.floats(0.1, 4000)
LOADS = st.floats(0, 17_000)
CLASSES = ("rigid_7_5", "rigid_17", "rigid_over_17", "artic_33", "artic_over_33", "hgv_any")
SETS = st.fixed_dictionaries(
    {},
    optional={
        "vehicle_type": st.sampled_from(["truck", "truck_cng", "van", "ev", "2w", "mini_truck"]),
        "fuel_type": st.sampled_from(["diesel", "petrol", "cng", "lpg", "electric", "hybrid"]),
        "vehicle_class": st.sampled_from([*CLASSES, "van_III", "motorbike_small"]),
        "distance_km": KM,
        "route_length": KM,
        "load_kg": LOADS,
        "empty_km": st.floats(0, 900),
        "planned_distance_km": KM,
        "energy_kwh": st.floats(0, 1e6),
        "natural_gas_kwh": st.floats(0, 1e6),
        "heat_kwh": st.floats(0, 1e6),
        "fuel_litres": st.floats(0, 1e4),
        "fuel_kg": st.floats(0, 1e4),
        "co2e_kg": st.floats(0, 1e5),
        "co2e_boundary": st.sampled_from(["wtw", "ttw"]),
        "co2e_method": st.just("ISO 14083"),
        "country": st.sampled_from(["GB", "DE", "IN"]),
        "operated_by": st.sampled_from(["us", "carrier", "supplier", "customer"]),
        "shared_vehicle": st.booleans(),
        "temperature_control": st.sampled_from(["ambient", "refrigerated"]),
        "delivery_count": st.integers(0, 900),
        "output_quantity": st.floats(0, 1e6),
        "timestamp": st.just("2025-03-03T00:00:00Z"),
    },
)
TYPES = st.sampled_from(["logistics", "delivery", "factory", "warehouse"])


def maybe(event_type: str, columns: dict[str, Any]) -> Event:
    """The event, or nothing to test where its names contradict each other."""
    try:
        return event(event_type, **columns)
    except Implausible:
        assume(False)
        raise


def outcome(found: Event) -> Prediction | Implausible:
    try:
        return kilograms(found)
    except Implausible as exc:
        return exc


@given(TYPES, SETS)
def test_whatever_comes_is_predicted_or_quarantined_with_a_reason(
    event_type: str, columns: dict[str, Any]
) -> None:
    found = maybe(event_type, columns)
    prediction = outcome(found)
    if isinstance(prediction, Implausible):
        assert prediction.kind in ("range", "factor", "energy", "unit", "time", "disagrees")
        assert len(str(prediction)) > 10
        return
    assert math.isfinite(prediction.co2_kg)
    assert prediction.co2_kg >= 0
    assert 1 <= prediction.dq <= 5
    assert prediction.method in ("primary", "modelled", "default")
    if prediction.kg_ttw is not None and prediction.kg_wtt is not None:
        parts = prediction.kg_ttw + prediction.kg_wtt
        assert abs(prediction.co2_kg - parts) <= 0.001 + 1e-12 * parts
    assert sum(prediction.scopes.values()) == pytest.approx(prediction.co2_kg, abs=0.003)
    assert (prediction.activity is None) == (prediction.activity_basis == "none")
    stated = "co2e_kg" in prediction.inputs
    assert prediction.factor_ids or stated


ABSURD = st.sampled_from([0.0, 5e-324, 1e-300, 1.0, 1e12, 1e300]) | st.floats(
    0, allow_nan=False, allow_infinity=False
)


@given(
    TYPES,
    SETS,
    st.dictionaries(st.sampled_from(sorted(set(QUANTITIES) - {"temperature"})), ABSURD),
)
def test_a_released_event_however_absurd_is_predicted_or_quarantined(
    event_type: str, columns: dict[str, Any], absurd: dict[str, float]
) -> None:
    found = outcome(replace(maybe(event_type, columns | absurd), released=True))
    if isinstance(found, Prediction):
        json.dumps(found.row(), allow_nan=False)


@given(TYPES, SETS, st.data())
def test_a_missing_input_lowers_the_quality_and_never_raises_kilograms_silently(
    event_type: str, columns: dict[str, Any], data: st.DataObject
) -> None:
    given_inputs = [name for name in columns if name not in ("timestamp", "country")]
    assume(given_inputs)
    gone = data.draw(st.sampled_from(given_inputs))
    less = {name: value for name, value in columns.items() if name != gone}
    try:
        whole = kilograms(maybe(event_type, columns))
        part = kilograms(maybe(event_type, less))
    except Implausible:
        return
    if part.co2_kg > whole.co2_kg + 0.001:
        told = set(part.flags) - set(whole.flags)
        basis = (part.method, part.inputs.keys()) != (whole.method, whole.inputs.keys())
        assert told or basis
    if part.estimated and not whole.estimated:
        # What was a proxy before, e.g. for a hybrid, may be an ordinary assumption now.
        assert part.dq >= (4 if "fuel_proxy" in whole.flags else max(4, whole.dq))


@given(st.sampled_from(CLASSES), LOADS, KM, KM)
def test_more_kilometres_are_more_kilograms(
    cls: str, load: float, one: float, other: float
) -> None:
    short, long = sorted((one, other))
    kg = [
        kilograms(trip(vehicle_class=cls, load_kg=load, distance_km=km)).co2_kg
        for km in (short, long)
    ]
    assert kg[0] <= kg[1]


@given(st.sampled_from(CLASSES), LOADS, LOADS)
def test_more_load_in_one_class_is_more_kilograms(cls: str, one: float, other: float) -> None:
    light, heavy = sorted((one, other))
    kg = [kilograms(trip(vehicle_class=cls, load_kg=load)).co2_kg for load in (light, heavy)]
    assert kg[0] <= kg[1]


# Primary before modelled before default


@given(KM, LOADS)
def test_measured_fuel_wins_whatever_distance_and_load_are(km: float, load: float) -> None:
    litres = km * 0.3
    try:
        found = kilograms(trip(distance_km=km, load_kg=load, fuel_litres=litres))
    except Implausible:
        assume(False)
        raise
    assert (found.method, found.dq) == ("primary", 2)
    assert found.co2_kg == pytest.approx(litres * 3.18183, abs=0.001)
    assert found.kg_model == kilograms(trip(distance_km=km, load_kg=load)).co2_kg


def test_stated_kilograms_with_boundary_and_method_win_over_everything() -> None:
    stated = {"co2e_kg": 100, "co2e_boundary": "wtw", "co2e_method": "ISO 14083"}
    found = kilograms(trip(fuel_litres=25, **stated))
    assert (found.co2_kg, found.method, found.dq) == (100.0, "primary", 2)
    assert found.kg_model == pytest.approx(25 * 3.18183, abs=0.001)
    assert "split_modelled" in found.flags
    alone = kilograms(event("factory", **stated))
    assert (alone.co2_kg, alone.kg_ttw, alone.kg_wtt) == (100.0, None, None)
    assert "split_unknown" in alone.flags


@pytest.mark.parametrize("more", [{}, {"co2e_boundary": "wtw"}])
def test_stated_kilograms_without_boundary_or_method_are_not_used(more: dict[str, Any]) -> None:
    found = kilograms(trip(co2e_kg=100, **more))
    assert found.co2_kg == kilograms(trip()).co2_kg
    assert "co2e_unused" in found.flags


def test_stated_operation_replaces_the_operation_alone() -> None:
    model, found = kilograms(trip()), kilograms(trip(co2e_kg=50, co2e_boundary="ttw"))
    assert (found.kg_ttw, found.kg_wtt) == (50.0, model.kg_wtt)
    assert (found.method, found.dq) == (model.method, model.dq)


def test_data_that_disagree_are_flagged_and_beyond_all_measure_quarantined() -> None:
    model = kilograms(trip()).co2_kg
    stated = {"co2e_boundary": "wtw", "co2e_method": "ISO 14083"}
    assert "primary_disagrees" not in kilograms(trip(co2e_kg=model * 2.9, **stated)).flags
    assert "primary_disagrees" in kilograms(trip(co2e_kg=model * 3.1, **stated)).flags
    assert "primary_disagrees" in kilograms(trip(co2e_kg=model / 3.1, **stated)).flags
    with pytest.raises(Implausible, match="a unit may be wrong") as held:
        kilograms(trip(co2e_kg=model * 10.1, **stated))
    assert (held.value.kind, held.value.column) == ("disagrees", "co2e_kg")
    released = replace(trip(co2e_kg=model * 10.1, **stated), released=True)
    assert kilograms(released).method == "primary"


# Countries


def test_the_country_is_the_events_the_suppliers_or_the_setting() -> None:
    shift = event("factory", energy_kwh=1000)
    german = replace(shift, country="DEU")
    indian = Supplier("A", country="IND")
    assert kilograms(german, indian, "GBR").grid is not None
    found = [
        kilograms(german, indian, "GBR"),
        kilograms(shift, indian, "GBR"),
        kilograms(shift, None, "GBR"),
        kilograms(shift),
    ]
    assert [each.grid and each.grid.country for each in found] == ["DEU", "IND", "GBR", "WORLD"]
    assert [each.method for each in found] == ["primary", "primary", "primary", "default"]
    assert [each.dq for each in found] == [1, 1, 1, 5]
    assert found[3].inputs["country"] == ("WORLD", "assumed")
    assert ["country_assumed" in each.flags for each in found] == [False, False, False, True]


def test_a_country_without_a_factor_is_quarantined() -> None:
    with pytest.raises(Implausible, match="no electricity factor for country LIE"):
        kilograms(event("factory", energy_kwh=1000, country="LI"))


# Sites


def test_a_site_without_energy_is_not_predicted() -> None:
    for columns in (
        {"cooling_load": 300},
        {"furnace_usage": 5, "shift_hours": 8},
        {"refrigeration_load": 4, "inventory_volume": 600},
    ):
        with pytest.raises(Implausible, match="no energy_kwh, fuel, heat or co2e_kg") as held:
            kilograms(event("warehouse" if "inventory_volume" in columns else "factory", **columns))
        assert held.value.kind == "energy"


def test_hours_temperature_and_loads_enter_no_kilograms() -> None:
    plain = event("factory", energy_kwh=4000, country="GB")
    full = event(
        "factory",
        energy_kwh=4000,
        country="GB",
        shift_hours=12,
        machine_runtime_hours=380,
        cooling_load=500,
        furnace_usage=40,
        temperature=30,
    )
    assert kilograms(full).co2_kg == kilograms(plain).co2_kg == 981.6
    assert {"machine_hours_high", "furnace_unused"} <= set(kilograms(full).flags)


def test_a_furnace_counts_in_litres_per_hour() -> None:
    furnace = {"furnace_usage": 2, "furnace_unit": "litre/h", "shift_hours": 8}
    found = kilograms(event("factory", fuel_type="gas_oil", **furnace))
    assert found.co2_kg == pytest.approx(16 * 3.38206, abs=0.001)
    assert kilograms(event("factory", **furnace)).inputs["fuel_type"] == ("diesel", "assumed")


def test_fuel_and_heat_of_a_site_are_added() -> None:
    found = kilograms(
        event("factory", natural_gas_kwh=1000, heat_kwh=100, fuel_litres=10, fuel_type="fuel_oil")
    )
    assert found.co2_kg == pytest.approx(213.17 + 20.87 + 38.7031, abs=0.001)
    assert "heat_source_assumed" in found.flags


def test_solid_fuels_are_counted_by_weight() -> None:
    found = kilograms(event("factory", fuel_kg=500, fuel_type="coal_industrial"))
    assert found.co2_kg == pytest.approx(0.5 * 2813.43958, abs=0.001)
    with pytest.raises(Implausible, match="no factor for coal_industrial by litre"):
        kilograms(event("factory", fuel_litres=500, fuel_type="coal_industrial"))


# Scopes


@pytest.mark.parametrize(
    ("found", "scopes"),
    [
        (trip(operated_by="us"), {"1": 57.328, "3.3": 13.707}),
        (trip(operated_by="carrier"), {"3.4": 71.035}),
        (trip(), {"3.4": 71.035}),
        (trip(operated_by="customer"), {"3.9": 71.035}),
        (event("factory", energy_kwh=1000, country="GB"), {"3.1": 245.4}),
        (event("warehouse", energy_kwh=1000, country="GB"), {"3.4": 245.4}),
        (
            event("logistics", vehicle_type="ev", distance_km=100, country="GB", operated_by="us"),
            {"2": 6.315, "3.3": 2.42},
        ),
        (event("factory", energy_kwh=1000, country="DE", operated_by="us"), {"2": 380.95}),
    ],
)
def test_the_scope_follows_from_who_operates(found: Event, scopes: dict[str, float]) -> None:
    assert kilograms(found).scopes == scopes


# Activity


@pytest.mark.parametrize(
    ("found", "basis", "amount"),
    [
        (trip(sfd_km=100, gcd_km=90, planned_distance_km=110), "t_km_sfd", 45.0),
        (trip(gcd_km=90, planned_distance_km=110), "t_km_gcd", 40.5),
        (trip(planned_distance_km=110), "t_km_planned", 49.5),
        (trip(), "t_km_actual", 54.0),
        (trip(load_kg=0), "km_actual", 120.0),
        (trip(load_kg=None, planned_distance_km=100), "km_planned", 100.0),
        (trip(distance_km=None, fuel_litres=30), "none", None),
        (event("delivery", route_length=16, delivery_count=30), "deliveries", 30.0),
        (event("delivery", route_length=16, load_kg=500), "t_km_actual", 8.0),
        (event("delivery", route_length=16, delivery_count=0), "km_actual", 16.0),
        (event("warehouse", energy_kwh=1, throughput_t=40, pallets=60), "throughput_t", 40.0),
        (event("warehouse", energy_kwh=1, pallets=60), "pallets", 60.0),
        (event("warehouse", energy_kwh=1, inventory_volume=600), "m3_days", 600.0),
        (event("warehouse", energy_kwh=1), "none", None),
        (event("factory", energy_kwh=1, output_quantity=5, output_unit=" T "), "output:t", 5.0),
        (event("factory", energy_kwh=1, output_quantity=5), "output", 5.0),
        (event("factory", energy_kwh=1), "none", None),
    ],
)
def test_the_activity_is_the_first_that_is_known(
    found: Event, basis: str, amount: float | None
) -> None:
    prediction = kilograms(found)
    assert prediction.activity_basis == basis
    assert prediction.activity == (None if amount is None else pytest.approx(amount))


def test_a_driven_distance_as_activity_is_flagged() -> None:
    assert "actual_distance" in kilograms(trip()).flags
    assert "planned_distance" in kilograms(trip(planned_distance_km=100)).flags
    assert {"actual_distance", "planned_distance"}.isdisjoint(kilograms(trip(sfd_km=100)).flags)


# What is stored


def test_every_input_is_stored_with_its_origin() -> None:
    found = kilograms(trip(fuel_type=None), Supplier("A", operated_by="carrier"))
    assert found.inputs == {
        "distance_km": (120.0, "event"),
        "vehicle_type": ("truck", "event"),
        "fuel_type": ("diesel", "assumed"),
        "vehicle_class": ("rigid_7_5", "assumed"),
        "load_kg": (450.0, "event"),
        "payload_kg": (2182.0, "factor"),
        "operated_by": ("carrier", "setting"),
    }
    row = found.row()
    assert row["inputs"]["fuel_type"] == ["diesel", "assumed"]
    assert (row["predicted_co2"], row["estimated"], row["in_range"]) == (71.035, True, True)
    assert row["factor_ids"][0] == "desnz-2025-v1:27_304_3109_4_1"
