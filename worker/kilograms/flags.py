"""What each flag of a prediction means, in one sentence for people."""

from __future__ import annotations

from collections.abc import Mapping

FLAGS: Mapping[str, str] = {
    # Something was assumed
    "country_assumed": "no country is known: the world's average grid was used, set GRID_COUNTRY",
    "fuel_assumed": "no fuel is given: the usual one of the vehicle was used",
    "load_assumed": "no load is given: the average load of the fleet was used",
    "class_from_load": "the class of the truck follows from the loads of the supplier",
    "class_assumed": "no class is given: the average of all vehicles of the kind was used",
    "vehicle_assumed": "no vehicle is given: the average truck, or van for a delivery, was used",
    "heat_source_assumed": "heat is counted as made on site",
    "one_day_assumed": "the volume is counted as if the event were one day",
    # Another factor stands in
    "fuel_proxy": "there is no factor for this fuel: that of a near one was used",
    "class_proxy": "there is no factor for this class and fuel: that of the average van was used",
    "tonne_km_average": "computed by tonne-km of the average lorry",
    "factor_year": "the factor is of another year than the event",
    "td_missing": "losses of the grid are inside a life-cycle figure, not told apart",
    "scope2_lifecycle": "a life-cycle figure stands in scope 2, which knows generation alone",
    # Not counted
    "empty_excluded": "kilometres driven empty are not known and not counted",
    "furnace_unused": "furnace_usage has no unit that is energy, or is inside the meter",
    "energy_unused": "energy_kwh of a vehicle that does not run on electricity",
    "fuel_kg_unused": "fuel_kg beside fuel_litres: the same fuel is counted once",
    "co2e_unused": "co2e_kg without boundary, or well to wheel without a method, is not used",
    # Stated kilograms
    "split_modelled": "only the sum is stated: its parts are those of the model",
    "split_unknown": "only the sum is stated: its parts are not known",
    "ttw_stated": "the operation's kilograms are stated, those of the supply computed",
    "wtt_missing": "the kilograms of the energy's supply are not known and not counted",
    # Possible, but seldom right
    "primary_disagrees": "measured data are above three times, or below a third, of the model",
    "consumption_unusual": "twice or half the fuel that such a vehicle uses",
    "load_clamped": "the load is above the payload: the factor of a full vehicle was used",
    "load_high": "a truck with more than 29 t",
    "distance_high": "more than 900 km",
    "speed_high": "a truck faster than 90 km/h",
    "stops_high": "more than one stop per km",
    "temperature_unusual": "below -35 or above 45 degrees C",
    "machine_hours_high": "more than 24 machine hours: a sum of several machines",
    "deliveries_high": "more than 300 deliveries",
    # What the kilograms are divided by
    "actual_distance": "the activity is by the driven distance, which hides detours",
    "planned_distance": "the activity is by the planned distance, not by the shortest one",
}
