"""Vehicle and fuel names: every spelling that is understood, and what it means.

A name that is not listed is an error. Falling back to some default would turn an electric truck
into a two-wheeler without anybody noticing.
"""

from functools import lru_cache

FUELS = {
    "diesel": "diesel",
    "petrol": "petrol",
    "gasoline": "petrol",
    "cng": "cng",
    "lpg": "lpg",
    "electric": "electric",
    "ev": "electric",
    "hybrid": "hybrid",
    "hybrid_plug_in": "hybrid_plug_in",
    "plug_in_hybrid": "hybrid_plug_in",
    "phev": "hybrid_plug_in",
    "lng": "lng",
    "natural_gas": "natural_gas",
    "diesel_mineral": "diesel_mineral",
    "petrol_mineral": "petrol_mineral",
    "gas_oil": "gas_oil",
    "burning_oil": "burning_oil",
    "kerosene": "burning_oil",
    "fuel_oil": "fuel_oil",
    "propane": "propane",
    "coal_industrial": "coal_industrial",
    "petroleum_coke": "petroleum_coke",
}

VEHICLES = {
    "two_wheeler": "two_wheeler",
    "2w": "two_wheeler",
    "bike": "two_wheeler",
    "motorcycle": "two_wheeler",
    "mini_truck": "mini_truck",
    "truck": "truck",
    "van": "van",
    "electric_vehicle": "electric_vehicle",
    "ev": "electric_vehicle",
    "electric": "electric_vehicle",
    "truck_cng": "truck_cng",
    "cng_truck": "truck_cng",
    "diesel_truck": "truck",
}

# Names that say the fuel as well. `truck_<fuel>` and `van_<fuel>` are read by _split.
IMPLIED_FUEL = {
    "electric_vehicle": "electric",
    "ev": "electric",
    "electric": "electric",
    "truck_cng": "cng",
    "cng_truck": "cng",
    "diesel_truck": "diesel",
}


@lru_cache(maxsize=1000)
def normalised(vehicle: str | None, fuel: str | None) -> tuple[str | None, str | None]:
    """Give the canonical vehicle and fuel; the fuel may follow from the vehicle's name.

    Raises ValueError, with a text for the person who wrote the row, when a name is unknown or the
    vehicle's name contradicts the fuel.
    """
    vehicle_name, implied = (None, None) if vehicle is None else _vehicle(vehicle)
    if fuel is None:
        return vehicle_name, implied
    fuel_name = FUELS.get(_folded(fuel))
    if fuel_name is None:
        raise ValueError(f"fuel_type {fuel!r} is unknown (known: {_names(FUELS)})")
    if implied not in (None, fuel_name):
        raise ValueError(f"vehicle_type {vehicle!r} contradicts fuel_type {fuel!r}")
    return vehicle_name, fuel_name


def _vehicle(text: str) -> tuple[str, str | None]:
    name = _folded(text)
    if name in VEHICLES:
        return VEHICLES[name], IMPLIED_FUEL.get(name)
    body, _, fuel = name.partition("_")
    if body in ("truck", "van") and fuel in FUELS:
        return VEHICLES[body], FUELS[fuel]
    raise ValueError(f"vehicle_type {text!r} is unknown (known: {_names(VEHICLES)})")


def _folded(text: str) -> str:
    return text.strip().lower().replace("-", "_").replace(" ", "_")


def known_vehicles() -> str:
    """Give the canonical names of vehicles, for a message."""
    return f"known: {_names(VEHICLES)}"


def _names(spellings: dict[str, str]) -> str:
    return ", ".join(sorted(set(spellings.values())))
