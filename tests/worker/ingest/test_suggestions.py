"""Options that are proposed for names which are not known: in five languages, never applied."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.worker.ingest.reading import events
from worker.command_line import main
from worker.ingest.header import COLUMNS
from worker.ingest.suggestions import _NAMES, probable, suggestion, suggestions

MUST = "timestamp,supplier_id,event_type"
CELLS = "2026-01-05T09:00:00Z,A,logistics"


def said_of(*names: str) -> list[str]:
    """What is said of further columns of a file that has what is needed."""
    quoted = ",".join(f'"{name}"' for name in names)
    found = events(f"{MUST},{quoted}\n{CELLS}{',1' * len(names)}\n")
    return suggestions(found.ignored, found.places)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Distance", 'Then say --map "Distance=distance_km", and the unit if it is not km'),
        ("Distanz (mi)", 'Then say --map "Distanz (mi)=distance_km": its mi are converted'),
        ("Distance (furlong)", "'furlong' is no unit of it (km, m, mi, nmi)"),
        ("Fuel", "fuel_type"),
        ("Litres", 'say --map "Litres=fuel_litres"'),
        ("Planned", 'say --map "Planned=planned_distance_km", and the unit if it is not km'),
        ("Vehicle", "is 'Vehicle' vehicle_type? Then say --map \"Vehicle=vehicle_type\""),
        ("Temp (°F)", 'say --map "Temp (°F)=temperature": its °F are converted'),
        ("Driver", None),
    ],
)
def test_a_hint_says_the_unit_as_well(name: str, expected: str | None) -> None:
    found = events(f"{MUST},{name}\n{CELLS},1\n")
    assert found.ignored == [name]
    said = suggestion(name, found.places)
    assert (expected or "") in (said or "")
    assert (said is None) == (expected is None)


def test_gallons_are_not_proposed_as_kilograms() -> None:
    found = events(f"{MUST},Diesel (gal)\n{CELLS},1\n")
    assert "fuel_kg" not in (suggestion("Diesel (gal)", found.places) or "")
    assert "fuel_kg" not in (suggestion("Fuell (gal)", found.places) or "")


@pytest.mark.parametrize(
    ("name", "column", "more"),
    [
        ("Strecke", "distance_km", "and the unit if it is not km"),
        ("Gefahrene Kilometer", "distance_km", ""),
        ("Ladung (t)", "load_kg", "its t are converted"),
        ("Gewicht kg", "load_kg", ""),
        ("Fahrzeugtyp", "vehicle_type", ""),
        ("Strom kWh", "energy_kwh", ""),
        ("Erdgas (MWh)", "natural_gas_kwh", "its MWh are converted"),
        ("Verbrauch (l)", "fuel_litres", ""),
        ("Verbrauch in kWh", "energy_kwh", ""),
        ("Diesel (Liter)", "fuel_litres", "; and --set fuel_type=diesel"),
        ("Kapazität (kg)", "vehicle_capacity_kg", ""),
        ("FERNWAERME_KWH", "heat_kwh", ""),
        ("Distance parcourue (km)", "distance_km", ""),
        ("Poids (tonnes)", "load_kg", "its tonnes are converted"),
        ("Véhicule", "vehicle_type", ""),
        ("Electricité (kWh)", "energy_kwh", ""),
        ("Gazole (litres)", "fuel_litres", "--set fuel_type=diesel"),
        ("Kilomètres à vide", "empty_km", ""),
        ("Distancia recorrida (km)", "distance_km", ""),
        ("Kilómetros", "distance_km", ""),
        ("Carga (toneladas)", "load_kg", "its toneladas are converted"),
        ("Tipo de vehículo", "vehicle_type", ""),
        ("Consumo (litros)", "fuel_litres", ""),
        ("Afstand (km)", "distance_km", ""),
        ("Lading (kg)", "load_kg", ""),
        ("Voertuig", "vehicle_type", ""),
        ("Aardgas kWh", "natural_gas_kwh", ""),
        ("Benzine (l)", "fuel_litres", "--set fuel_type=petrol"),
    ],
)
def test_a_name_in_another_language_is_proposed_with_its_unit(
    name: str, column: str, more: str
) -> None:
    (said,) = said_of(name)
    assert said.startswith(f'is {name!r} {column}? Then say --map "{name}={column}"')
    assert more in said


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Verbrauch", "is 'Verbrauch' fuel_litres, fuel_kg or energy_kwh?"),
        ("Kraftstoff", "is 'Kraftstoff' fuel_type, fuel_litres or fuel_kg?"),
        ("Longueur de la tournée", "route_length or distance_km?"),
    ],
)
def test_a_name_that_may_be_several_columns_asks_which(name: str, expected: str) -> None:
    (said,) = said_of(name)
    assert expected in said
    assert probable([name], {}) == {}


@pytest.mark.parametrize(
    "name",
    ["Verbrauch (l/100 km)", "Consommation (L/100km)", "Erdgas (m³)", "Kilometerstand", "Fahrer"],
)
def test_what_is_another_quantity_is_not_proposed(name: str) -> None:
    assert said_of(name) == []


def test_a_column_that_the_file_has_is_not_proposed_for_another_name() -> None:
    found = events(f"{MUST},load_kg,Gewicht\n{CELLS},1,1\n")
    assert suggestions(found.ignored, found.places) == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Datum", "Uhrzeit"), '"Datum+Uhrzeit=timestamp"'),
        (("Heure", "Date de livraison"), '"Date de livraison+Heure=timestamp"'),
        (("Fecha", "Hora"), '"Fecha+Hora=timestamp"'),
        (("Datum",), '"Datum=timestamp"'),
        (("Zeitpunkt",), '"Zeitpunkt=timestamp"'),
    ],
)
def test_a_date_and_its_time_are_proposed_together(names: tuple[str, ...], expected: str) -> None:
    (said,) = suggestions(names, {})
    assert f"Then say --map {expected}" in said
    assert probable(names, {}) == {"timestamp": expected.strip('"').partition("=")[0]}


def test_a_time_beside_a_date_that_is_read_is_proposed() -> None:
    """`Date` is known by itself, `Heure` is not: without it all events would be of midnight."""
    found = events("Date,Heure,supplier_id,event_type\n2026-01-05,09:14,A,factory\n")
    assert suggestions(found.ignored, found.places) == [
        "is 'Date+Heure' timestamp? Then say --map \"Date+Heure=timestamp\""
    ]


FILES = {
    "German": "Datum;Uhrzeit;Lieferant;Art;Strecke (km);Ladung (t);Fahrzeug;Diesel (l)",
    "French": "Date;Heure;Fournisseur;Activité;Distance parcourue (km);Poids (tonnes);Véhicule;"
    "Gazole (l)",
    "Spanish": "Fecha;Hora;Proveedor;Actividad;Distancia recorrida (km);Carga (toneladas);"
    "Vehículo;Gasóleo (l)",
    "Dutch": "Datum;Tijd;Leverancier;Activiteit;Afstand (km);Lading (t);Voertuig;"
    "Brandstofverbruik (l)",
}


@pytest.mark.parametrize("language", FILES)
def test_the_options_that_are_proposed_read_the_file(
    language: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file.csv"
    cells = "05.01.2026;09:14;Müller;logistics;123,5;1,2;truck;31,5;pünktlich"
    file.write_text(f"{FILES[language]};Bemerkung\n{cells}\n", encoding="utf-8")
    command = ["ingest", "--dry-run", str(file)]
    assert main(command) == 2
    error = capsys.readouterr().err
    maps = re.findall(r'--map "[^"]*"', error)
    assert len(maps) == 7
    assert main([*command, *shlex.split(" ".join(maps))]) == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if "line 2:" in line)
    for cell in (
        "2026-01-05T09:14:00+00:00, Müller, logistics",
        "vehicle_type=truck",
        "distance_km=123.5",
        "load_kg=1200.0",
        "fuel_litres=31.5",
    ):
        assert cell in row


def test_the_table_has_columns_and_each_name_once() -> None:
    names = [name for words in _NAMES.values() for name in words.split()]
    assert sorted(names) == sorted(set(names))
    for name in names:
        assert re.fullmatch("[a-z0-9_]+", name)
        assert name not in COLUMNS
    for columns in _NAMES:
        assert set(columns) <= set(COLUMNS)
