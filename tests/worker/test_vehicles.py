import pytest

from worker.vehicles import normalised


@pytest.mark.parametrize(
    ("vehicle", "fuel", "expected"),
    [
        ("2W", "petrol", ("two_wheeler", "petrol")),
        ("Motorcycle", None, ("two_wheeler", None)),
        ("mini-truck", "Diesel", ("mini_truck", "diesel")),
        ("Mini Truck", "gasoline", ("mini_truck", "petrol")),
        ("truck", "cng", ("truck", "cng")),
        ("truck_diesel", None, ("truck", "diesel")),
        ("truck_petrol", "petrol", ("truck", "petrol")),
        ("truck_ev", "electric", ("truck", "electric")),
        ("truck_cng", None, ("truck_cng", "cng")),
        ("van_hybrid", None, ("van", "hybrid")),
        ("ev", None, ("electric_vehicle", "electric")),
        ("electric", "ev", ("electric_vehicle", "electric")),
        ("van", "lpg", ("van", "lpg")),
        (None, "diesel", (None, "diesel")),
        (None, None, (None, None)),
    ],
)
def test_a_known_spelling_has_one_meaning(
    vehicle: str | None, fuel: str | None, expected: tuple[str | None, str | None]
) -> None:
    assert normalised(vehicle, fuel) == expected


@pytest.mark.parametrize("vehicle", ["lorry", "truck_", "truck_steam", "van_city", "", "0"])
def test_an_unknown_vehicle_becomes_nothing_else(vehicle: str) -> None:
    with pytest.raises(ValueError, match=r"vehicle_type .* is unknown"):
        normalised(vehicle, "diesel")


@pytest.mark.parametrize("fuel", ["coal", "", "diesel fuel"])
def test_an_unknown_fuel_becomes_nothing_else(fuel: str) -> None:
    with pytest.raises(ValueError, match=r"fuel_type .* is unknown"):
        normalised("truck", fuel)


@pytest.mark.parametrize(("vehicle", "fuel"), [("truck_petrol", "diesel"), ("ev", "diesel")])
def test_a_vehicle_name_may_not_contradict_the_fuel(vehicle: str, fuel: str) -> None:
    with pytest.raises(ValueError, match=r"contradicts"):
        normalised(vehicle, fuel)
