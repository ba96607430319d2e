"""What-if of stored events, against kilograms that the worked examples of the factors have."""

from __future__ import annotations

import json
from typing import Any

from tests.worker.conftest import Run, Table
from tests.worker.test_commands import shift, trips


def simulated(run: Run, *arguments: str) -> dict[str, Any]:
    status, out, _ = run("simulate", *arguments, "--json")
    assert status == 0
    found: dict[str, Any] = json.loads(out)
    return found


def test_an_event_with_another_class_of_truck(run: Run, tables: Table) -> None:
    trips(tables, 450)  # 120 km: 71.035 kg with a rigid_7_5, the first worked example
    (row,) = tables.rows("select id from events_normalized")
    status, out, _ = run("simulate", "--event", str(row["id"]), "--vehicle-class", "rigid_17")
    laden = 450 / 4755
    per_km = (0.55061 + 0.13207) + ((0.62832 + 0.15094) - (0.55061 + 0.13207)) * 2 * laden
    after = round(120 * per_km, 3)
    assert status == 0
    assert out.startswith(f"1 events: 71.035 kg CO2e before, {after:.3f} after (+")
    assert "rigid_7_5" in out
    assert "rigid_17" in out
    assert tables.rows("select count(*) as n from predictions") == [{"n": 0}]


def test_a_supplier_with_another_load(run: Run, tables: Table) -> None:
    trips(tables, 450, 450)
    trips(tables, 450, supplier="B")
    found = simulated(run, "--supplier", "A", "--load-kg", "1091", "--vehicle-class", "rigid_7_5")
    assert (found["events"], found["kg_before"]) == (2, 142.070)
    assert found["kg_after"] == 2 * round(120 * (0.50103 + 0.11985), 3)  # half full


def test_a_site_with_the_grid_of_another_country(run: Run, tables: Table) -> None:
    shift(tables, 1000)
    tables.execute("update events_normalized set country = 'DE'")
    found = simulated(run, "--supplier", "Mill", "--country", "FR")
    assert found["kg_after"] < found["kg_before"] / 3
    before, after = sorted(found["factors"], key=lambda line: -line["kg_before"])
    assert "grid of DEU" in before["factor"]
    assert (after["kg_before"], after["kg_after"]) == (0, found["kg_after"])


def test_measured_fuel_changes_as_the_model_does(run: Run, tables: Table) -> None:
    trips(tables, 450)
    tables.execute("update events_normalized set fuel_litres = 40, vehicle_class = 'rigid_7_5'")
    found = simulated(run, "--supplier", "A", "--load-kg", "1091")
    assert found["scaled_by_the_model"] == 1
    share = 120 * (0.50103 + 0.11985) / 71.035  # half full, against 450 kg
    assert abs(found["kg_after"] / found["kg_before"] - share) < 1e-4


def test_days_choose_events_and_nothing_is_told_apart_from_no_event(
    run: Run, tables: Table
) -> None:
    trips(tables, 450)
    status, out, _ = run("simulate", "--supplier", "A", "--load-kg", "900", "--from", "2025-03-04")
    assert (status, out) == (1, "")
    status, _, errors = run("simulate", "--supplier", "Nobody", "--load-kg", "900")
    assert (status, errors) == (1, "there is nothing stored of Nobody\n")


def test_changes_that_make_no_sense_are_refused(run: Run) -> None:
    for arguments, told in (
        ((), "say what to change: --vehicle, --vehicle-class, --fuel, ..."),
        (("--load-kg", "0"), "--load-kg must be above 0 and at most 60000"),
        (("--country", "XY"), "'XY' is not a country code of ISO 3166 such as DE or DEU"),
    ):
        status, _, errors = run("simulate", "--event", "1", *arguments)
        assert (status, errors) == (2, f"worker: {told}\n")


def test_a_vehicle_without_a_factor_is_told_with_its_reason(run: Run, tables: Table) -> None:
    trips(tables, 450)
    status, out, _ = run("simulate", "--supplier", "A", "--fuel", "electric")
    assert status == 1
    assert out.startswith("1 events cannot be computed: ")
