"""Each factor comes from a row with source, year, licence and backing."""

from __future__ import annotations

import csv
import tomllib
from decimal import Decimal
from importlib import resources
from pathlib import Path

import pytest

from tests.worker.kilograms.conftest import FACTORS, event, kilograms, trip
from worker.events import Event
from worker.kilograms.calculate import calculate
from worker.kilograms.countries import alpha3
from worker.kilograms.energy import Basis
from worker.kilograms.factors import FactorError, FuelFactor, GridFactor, VehicleFactor, load
from worker.suppliers import Supplier

PROJECT = Path(__file__).parents[3]
DATA = resources.files("worker.kilograms") / "data"


def rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((DATA / name).read_text("utf-8").splitlines()))


OFFICIAL = {row["id"]: row for row in rows("desnz-2025.csv")}
SOURCES = {row["factor_set"]: row for row in rows("sources.csv")}


def official(expression: str) -> Decimal:
    """The value of an id with its set; `-` subtracts, `/` divides two rows."""
    sign = -1 if expression.startswith("-") else 1
    name = expression.removeprefix("-").removeprefix("desnz-2025-v1:")
    first, _, second = name.partition("/")
    value = Decimal(OFFICIAL[first]["kg_co2e"])
    return sign * (value / Decimal(OFFICIAL[second]["kg_co2e"]) if second else value)


def test_every_factor_in_use_traces_to_a_row_with_source_year_licence_and_backing() -> None:
    grid = {row["source_id"]: row for row in rows("grid.csv")}
    backing = {
        (row["vehicle"], row["fuel"], row["class"], row["temperature"]): row["backing"]
        for row in rows("vehicles.csv")
        if row["factor_set"] == "desnz-2025-v1"
    }
    fuels = {(row["fuel"], row["unit"]): row["backing"] for row in rows("fuels.csv")}
    seen = 0
    for factor in FACTORS.walk():
        seen += 1
        match factor:
            case VehicleFactor():
                assert backing[factor.vehicle, factor.fuel, factor.cls, factor.temperature]
                ids = {name for found in factor.ids.values() for name in found}
            case FuelFactor():
                assert fuels.get((factor.fuel, factor.unit)) or factor.unit == "kg"
                ids = set(factor.ids)
            case GridFactor():
                plain = "|".join(name.removeprefix("desnz-2025-v1:") for name in factor.ids)
                assert grid[plain]["backing"]
                ids = set(factor.ids)
        assert ids
        assert factor.year is not None
        for name in ids:
            if "ember" in name:
                source = SOURCES["ember-2023"]
            else:
                assert official(name) >= 0 or name.startswith("-")
                source = SOURCES["desnz-2025-v1"]
            assert source["licence"]
            assert source["use"] == "in use"
    assert seen > 280


def test_factors_of_vehicles_are_those_of_the_official_rows() -> None:
    for factor in FACTORS.walk():
        if not isinstance(factor, VehicleFactor):
            continue
        for points, ids in (
            (factor.ttw, factor.ids_ttw),
            (factor.wtt, factor.ids_wtt),
        ):
            if factor.vehicle == "truck_cng":
                ratio = official(ids[4])
                expected = [
                    (official(name) * ratio).quantize(Decimal("0.00001")) for name in ids[:4]
                ]
                for printed, product in zip(points, expected, strict=True):
                    assert printed is not None
                    assert abs(printed - product) <= Decimal("0.00001")
            elif factor.laden:
                assert list(points) == [official(name) for name in ids]
            elif ids:
                assert points.average == sum(official(name) for name in ids)
            else:
                assert points.average == 0  # nothing burns on board
        if factor.payload_kg is not None and factor.temperature == "ambient":
            full = factor.ids_ttw[2]
            payload = official(full) / official(full.replace("_4_1", "_14_1")) * 1000
            assert abs(payload - factor.payload_kg) <= 1


def test_factors_of_fuels_are_those_of_the_official_rows() -> None:
    found = [factor for factor in FACTORS.walk() if isinstance(factor, FuelFactor)]
    for factor in found:
        scale = 1000 if factor.unit == "kg" else 1
        for value, name in zip((factor.ttw, factor.wtt), factor.ids, strict=True):
            assert abs(value * scale - official(name)) <= Decimal("0.00001")
    assert {("diesel", "kg"), ("petrol", "kg")} <= {(f.fuel, f.unit) for f in found}


def test_the_british_grid_is_the_sum_of_its_four_rows() -> None:
    grid = FACTORS.grid("GBR", 2025)
    assert grid is not None
    assert grid.total == sum(official(name) for name in grid.ids) == Decimal("0.2454")
    assert grid.generation == official("7_400_4000_5_1")


def test_an_incomplete_set_of_another_year_is_not_mixed_in() -> None:
    diesel, grid = FACTORS.fuel("diesel", "litre", 2026), FACTORS.grid("GBR", 2026)
    assert diesel is not None
    assert grid is not None
    assert (diesel.ttw, diesel.year, grid.year) == (Decimal("2.57082"), 2025, 2025)
    assert "factor_year" in kilograms(trip(timestamp="2026-01-05T09:00:00Z")).flags
    assert "factor_year" not in kilograms(trip(timestamp="2025-12-31T09:00:00Z")).flags


def test_licences_are_named_and_the_data_are_in_the_package() -> None:
    notice = (PROJECT / "NOTICE").read_text()
    for source in SOURCES.values():
        if source["use"] == "in use":
            assert source["attribution"] in " ".join(notice.split())
    package = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "worker.kilograms" in package["packages"]
    assert package["package-data"]["worker.kilograms"] == ["data/*.csv"]


def test_countries_are_read_by_both_codes() -> None:
    assert {alpha3(text) for text in ("DE", "de", "DEU", " deu ")} == {"DEU"}
    assert alpha3("UK") == "GBR"
    with pytest.raises(ValueError, match="is not a country code of ISO 3166"):
        alpha3("Germany")


# Factors of the user's own


def own(tmp_path: Path, text: str, name: str = "acme-2026.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def with_own(path: Path, found: Event) -> float:
    return calculate(found, Supplier("A"), Basis(load([path]))).co2_kg


GRID = "iso3,year,g_total,source\n"


def test_own_factors_come_on_top_of_the_bundled_ones(tmp_path: Path) -> None:
    path = own(tmp_path, GRID + "DE,2025,100,contract\n")
    found = load([path])
    assert found.name == "desnz-2025-v1+ember-2023+acme-2026"
    assert found.sha256 != FACTORS.sha256
    assert with_own(path, event("factory", energy_kwh=1000, country="DE")) == 100.0
    assert with_own(path, event("factory", energy_kwh=1000, country="GBR")) == 245.4
    prediction = calculate(
        event("factory", energy_kwh=1000, country="DE"), Supplier("A"), Basis(found)
    )
    assert prediction.factor_ids == ("contract:DEU",)
    assert (prediction.factor_set, prediction.factors_sha256) == (found.name, found.sha256)


def test_an_event_gets_the_own_factor_of_its_year_or_of_the_last_year_before(
    tmp_path: Path,
) -> None:
    path = own(tmp_path, GRID + "FRA,2024,50,a\nFRA,2026,70,a\n")
    for year, kg in ((2022, 56.039), (2024, 50), (2025, 50), (2026, 70), (2030, 70)):
        shift = event("factory", energy_kwh=1000, country="FR", timestamp=f"{year}-05-01T00:00:00Z")
        if year == 2022:
            assert with_own(path, shift) not in (50, 70)  # Ember's own year is nearer
        else:
            assert with_own(path, shift) == kg


def test_an_own_vehicle_needs_no_official_ids(tmp_path: Path) -> None:
    header = (
        "vehicle,fuel,class,ttw_average,wtt_average,factor_set,ttw_empty,ttw_half,ttw_full,"
        "wtt_empty,wtt_half,wtt_full,payload_t_full\n"
    )
    path = own(tmp_path, header + "truck,electric,e_rigid,0,0.2,acme-2025,0,0,0,0.1,0.2,0.3,10\n")
    shift = trip(fuel_type="electric", vehicle_class="E-Rigid", load_kg=5000, distance_km=100)
    assert with_own(path, shift) == 20.0
    prediction = calculate(shift, Supplier("A"), Basis(load([path])))
    assert prediction.factor_ids == ("acme-2025:truck/electric/e_rigid",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no row"),
        ("a,b\n1,2\n", "line 1: the header must have the columns vehicle, fuel, class"),
        (GRID + "DE,2025,1.5\n", "line 2: has another number of fields"),
        (GRID + "DE,2025,-1,x\n", "line 2: g_total '-1' is not a number from 0"),
        (GRID + "DE,2025,NaN,x\n", "line 2: g_total 'NaN' is not a number from 0"),
        (GRID + 'DE,2025,"1,5",x\n', "line 2: g_total '1,5' is not a number with a decimal point"),
        (GRID + "DE,2025,,x\n", "line 2: g_total is empty"),
        (GRID + "Germany,2025,1,x\n", "line 2: 'Germany' is not a country code"),
        (GRID + "DE,25,1,x\n", "line 2: year '25' is not a year"),
        (GRID + "DE,2025,1,x\nDEU,2025,2,x\n", "line 3: says DEU again"),
        ("fuel,unit,ttw,wtt,factor_set\ndiesel,gallon,1,1,x\n", "unit 'gallon' is unknown"),
        (
            "vehicle,fuel,class,ttw_average,wtt_average,factor_set\nufo,diesel,a,1,1,x\n",
            "vehicle 'ufo' is unknown",
        ),
        (
            "vehicle,fuel,class,ttw_average,wtt_average,factor_set,ttw_half\ntruck,diesel,a,1,1,x,2",
            "some but not all",
        ),
    ],
)
def test_a_wrong_file_says_where_and_what(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(FactorError) as found:
        load([own(tmp_path, text)])
    assert reason in str(found.value)
    assert str(found.value).startswith(str(tmp_path / "acme-2026.csv"))


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FactorError, match="cannot be read: No such file"):
        load([tmp_path / "none.csv"])
    path = tmp_path / "latin.csv"
    path.write_bytes(GRID.encode() + b"DE,2025,1,M\xfcller\n")
    with pytest.raises(FactorError, match="is not UTF-8"):
        load([path])
