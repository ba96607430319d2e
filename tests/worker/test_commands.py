"""What a person sees and corrects: quarantine, suppliers, recomputation, explanation."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psycopg
import pytest

from tests.worker.conftest import Run, Start, Table
from worker.recompute import PAGE_EVENTS

STAMP = "2025-03-03T09:00:00Z"
SECONDS = 60.0


def trips(tables: Table, *loads: float, supplier: str = "A", km: float = 120) -> None:
    tables.insert(
        [
            {
                "event_type": "logistics",
                "supplier_id": supplier,
                "timestamp": STAMP,
                "distance_km": km,
                "load_kg": load,
                "vehicle_type": "truck",
                "fuel_type": "diesel",
            }
            for load in loads
        ]
    )


def shift(tables: Table, kwh: float, supplier: str = "Mill") -> None:
    tables.insert([{"event_type": "factory", "supplier_id": supplier, "timestamp": STAMP}])
    tables.execute("update events_normalized set energy_kwh = %s where event_type = 'factory'", kwh)


def kilograms(tables: Table) -> list[float]:
    rows = tables.rows("select predicted_co2 kg from predictions order by event_id, factor_set")
    return [row["kg"] for row in rows]


# Quarantine


def test_the_quarantine_is_listed_with_reason_and_value(run: Run, tables: Table) -> None:
    trips(tables, 450, 61_000)
    trips(tables, 450, supplier="B", km=6000)
    assert "; 2 implausible events are held" in run("scan")[1]
    status, out, _ = run("quarantine", "list")
    assert status == 0
    assert "A  logistics: load_kg 61000 is more than any truck carries (60000)" in out
    assert "(distance_km = 6000.0)" in out
    assert out.endswith("2 held: range 2\n")
    (line,) = run("quarantine", "list", "--supplier", "B", "--json")[1].splitlines()
    assert json.loads(line)["column_name"] == "distance_km"
    assert run("quarantine", "list", "--kind", "time")[1] == "0 held\n"


def test_a_released_event_is_judged_as_it_is_and_a_dropped_one_never(
    run: Run, tables: Table
) -> None:
    trips(tables, 61_000, 62_000, 63_000)
    run("scan")
    held = [row["event_id"] for row in tables.rows("select * from quarantine order by event_id")]
    assert run("quarantine", "release", str(held[0]))[:2] == (
        0,
        "released=1 of 1\nthe next scan judges them\n",
    )
    assert run("quarantine", "drop", str(held[1]))[:2] == (0, "dropped=1 of 1\n")
    assert "events=1 quarantined=0" in run("scan")[1]
    assert tables.rows("select flags @> '{load_clamped,load_high}' ok from predictions") == [
        {"ok": True}
    ]
    assert run("quarantine", "list")[1].endswith("1 held: range 1\n")
    assert run("quarantine", "list", "--state", "dropped")[1].endswith("1 dropped: range 1\n")
    assert run("quarantine", "drop", str(held[1]))[0] == 1
    assert run("quarantine", "release", "--all")[1].startswith("released=1 of 1")


@pytest.mark.parametrize(
    "arguments", [["release"], ["release", "1", "--all"], ["drop", "1", "--kind", "range"]]
)
def test_it_has_to_be_said_which_events(run: Run, arguments: list[str]) -> None:
    status, _, err = run("quarantine", *arguments)
    assert status == 2
    assert "say which" in err


# Suppliers


def test_a_suppliers_class_is_set_by_a_person_and_all_of_its_events_follow(
    run: Run, tables: Table
) -> None:
    trips(tables, 450, 450)
    trips(tables, 450, supplier="B")
    run("scan")
    assert kilograms(tables) == [71.035] * 3
    assert run("suppliers", "list")[1].startswith("A: class unknown yet, 2 of 12 loads\n")
    status, out, _ = run(
        *("suppliers", "set", "A", "--vehicle-class", "rigid-17", "--capacity-kg", "5000"),
        *("--country", "de", "--operated-by", "carrier"),
    )
    assert (status, out) == (0, "recompute 2 done: events=2 changed=2 quarantined=0 requeued=0\n")
    first, second, other = kilograms(tables)
    assert first == second != 71.035
    assert other == 71.035
    line = run("suppliers", "list")[1].splitlines()[0]
    assert line == (
        "A: vehicle_class=rigid_17 (person), vehicle_capacity_kg=5000 (person), "
        "country=DEU (person), operated_by=carrier (person)"
    )
    trips(tables, 450)
    run("scan")
    assert kilograms(tables)[-1] == first
    assert run("suppliers", "set", "A", "--vehicle-class", "none", "--capacity-kg", "none")[0] == 0
    assert kilograms(tables) == [71.035] * 4


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "say what to set"),
        (["--vehicle-class", "lorry"], "'lorry' is unknown (known: artic_33"),
        (["--capacity-kg", "much"], "is not a number above 0"),
        (["--country", "Germany"], "is not a country code"),
        (["--country", "LI"], "has no electricity factor"),
        (["--operated-by", "them"], "'them' is unknown (known: us, carrier"),
    ],
)
def test_what_cannot_be_set_is_refused(run: Run, arguments: list[str], reason: str) -> None:
    status, _, err = run("suppliers", "set", "A", *arguments)
    assert status == 2
    assert reason in err


def test_a_supplier_without_events_is_asked_about(run: Run) -> None:
    status, _, err = run("suppliers", "set", "Norhtwind", "--country", "DE")
    assert status == 0
    assert "no event of 'Norhtwind' is stored: is this its name?" in err


def test_the_class_from_twelve_loads_holds_for_what_follows(run: Run, tables: Table) -> None:
    trips(tables, *[450] * 11, 4000)
    trips(tables, 450)
    run("scan")
    found = tables.rows("select vehicle_class cls from predictions order by event_id")
    assert [row["cls"] for row in found] == ["rigid_7_5"] * 11 + ["rigid_17"] * 2
    trips(tables, 9000)
    run("scan")
    last = tables.rows("select vehicle_class, flags from predictions order by event_id")[-1]
    assert last["vehicle_class"] == "rigid_17"
    assert "load_clamped" in last["flags"]
    # Only a recomputation changes it.
    assert run("recompute")[1].startswith("recompute 2 done: events=14 changed=11 ")
    assert {
        row["vehicle_class"] for row in tables.rows("select vehicle_class from predictions")
    } == {"rigid_17"}
    run("recompute", "--classes-from-loads")
    assert {
        row["vehicle_class"] for row in tables.rows("select vehicle_class from predictions")
    } == {"artic_33"}


# Recomputation


def test_setting_the_country_recomputes_everything_by_itself(
    run: Run, tables: Table, env: dict[str, str]
) -> None:
    shift(tables, 1000)
    run("scan")
    assert kilograms(tables) == [480.79]
    env["GRID_COUNTRY"] = "DE"
    status, out, _ = run("scan")
    assert status == 0
    assert "recomputed=1" in out
    assert tables.rows("select reason from recomputes order by id")[-1] == {
        "reason": "grid_country was not set and is DEU"
    }
    assert kilograms(tables) == [380.95]
    assert "recomputed=0" in run("scan")[1]


def test_another_set_of_factors_leaves_the_old_predictions(
    run: Run, tables: Table, env: dict[str, str], tmp_path: Path
) -> None:
    shift(tables, 1000)
    env["GRID_COUNTRY"] = "DE"
    run("scan")
    own = tmp_path / "acme.csv"
    own.write_text("iso3,year,g_total,source\nDE,2025,100,contract\n")
    env["FACTORS_FILE"] = str(own)
    assert "recomputed=1" in run("scan")[1]
    rows = tables.rows("select factor_set, predicted_co2 kg from predictions order by factor_set")
    assert [tuple(row.values()) for row in rows] == [
        ("desnz-2025-v1+ember-2023", 380.95),
        ("desnz-2025-v1+ember-2023+acme", 100.0),
    ]


def test_a_wrong_factor_file_ends_the_start_and_names_the_line(
    run: Run, env: dict[str, str], tmp_path: Path
) -> None:
    own = tmp_path / "acme.csv"
    own.write_text("iso3,year,g_total,source\nDE,2025,many,contract\n")
    env["FACTORS_FILE"] = str(own)
    for command in ("scan", "recompute"):
        status, _, err = run(command)
        assert status == 2
        assert f"FACTORS_FILE: {own} line 2: g_total 'many' is not a number" in err


def test_an_event_is_judged_once_its_factor_is_there(
    run: Run, tables: Table, env: dict[str, str], tmp_path: Path
) -> None:
    shift(tables, 1000)
    tables.execute("update events_normalized set country = 'LI'")
    assert "quarantined=1" in run("scan")[1]
    own = tmp_path / "acme.csv"
    own.write_text("iso3,year,g_total,source\nLI,2025,50,contract\n")
    env["FACTORS_FILE"] = str(own)
    assert "scan 2 done: events=1 quarantined=0" in run("scan")[1]
    assert kilograms(tables) == [50.0]
    assert tables.rows("select * from quarantine") == []


def test_what_was_predicted_and_is_implausible_now_is_quarantined(run: Run, tables: Table) -> None:
    """A version of before knew fewer limits."""
    trips(tables, 450)
    run("scan")
    tables.execute("update events_normalized set distance_km = 6000")
    assert "quarantined=1" in run("recompute")[1]
    assert tables.rows("select * from predictions") == []
    assert run("quarantine", "list")[1].endswith("1 held: range 1\n")


def test_predictions_of_an_older_version_are_computed_anew_at_the_first_start(
    run: Run, tables: Table
) -> None:
    trips(tables, *[450] * 13)
    run("scan")
    tables.execute(
        "update predictions set factor_set = 'factors-1', predicted_co2 = 37, method = null"
    )
    tables.execute("delete from recomputes")
    tables.execute("delete from suppliers")
    assert "recomputed=13" in run("scan")[1]
    rows = tables.rows(
        "select factor_set, count(*)::int n, max(predicted_co2) kg from predictions"
        " group by 1 order by 1"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("desnz-2025-v1+ember-2023", 13, 71.035),
        ("factors-1", 13, 37.0),
    ]
    assert tables.rows("select vehicle_class, vehicle_class_origin from suppliers") == [
        {"vehicle_class": "rigid_7_5", "vehicle_class_origin": "loads"}
    ]


def test_a_recomputation_that_was_killed_goes_on_where_it_was(
    run: Run, start: Start, tables: Table
) -> None:
    count = 2 * PAGE_EVENTS + 10
    trips(tables, *[450] * count)
    run("scan")
    tables.execute("update predictions set predicted_co2 = 1")
    with psycopg.connect(tables.dsn) as connection:
        # The second page waits for this lock.
        connection.execute(
            "select from predictions where event_id = %s for update", (PAGE_EVENTS + 1,)
        )
        process = start("recompute")
        waiting = "select from pg_stat_activity where wait_event_type = 'Lock'"
        while not tables.rows(waiting):
            assert process.poll() is None
        process.kill()
        process.communicate()
    (row,) = tables.rows("select state, done_to, events::int from recomputes where upto > 0")
    assert row == {"state": "running", "done_to": PAGE_EVENTS, "events": PAGE_EVENTS}
    tables.execute("update leases set until = '-infinity'")
    status, out, _ = run("recompute")
    assert (status, out) == (
        0,
        f"recompute 2 done: events={count} changed={count} quarantined=0 requeued=0\n",
    )
    assert set(kilograms(tables)) == {71.035}


def test_ctrl_c_ends_a_recomputation_after_the_page_in_flight(
    run: Run, start: Start, tables: Table
) -> None:
    trips(tables, *[450] * (PAGE_EVENTS + 10))
    run("scan")
    with psycopg.connect(tables.dsn) as connection:
        connection.execute("select from predictions where event_id = 1 for update")
        process = start("recompute")
        while not tables.rows("select from pg_stat_activity where wait_event_type = 'Lock'"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "stopping after the batch in flight" not in process.stderr.readline():
            assert process.poll() is None
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert out.startswith("recompute 2 running: events=500 changed=0")
    assert "the next scan goes on with it" in err
    assert "recomputed=10" in run("scan")[1]


def test_a_recomputation_says_how_far_it_is(start: Start, tables: Table) -> None:
    trips(tables, 450)
    process = start("recompute")
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (
        0,
        "recompute 1 done: events=0 changed=0 quarantined=0 requeued=0\n",
    )
    assert "recomputed 0 of 0" in err


# Explanation


def test_an_explanation_shows_inputs_factors_and_the_arithmetic_to_the_gram(
    run: Run, tables: Table
) -> None:
    trips(tables, 450)
    run("scan")
    (row,) = tables.rows("select event_id from predictions")
    status, out, _ = run("explain", str(row["event_id"]))
    assert status == 0
    for text in (
        "71.035 kg CO2e well to wheel = 57.328 operation (TTW) + 13.707 supply of the energy (WTT)",
        "method default: something was assumed",
        "data quality 4 of 5",
        "450.0 kg of 2182.000 kg = 20.62 % laden",
        "desnz-2025-v1:27_304_3109_4_1  0.46138 kg CO2e per km",
        "UK Department for Energy Security and Net Zero",
        "OGL-UK-3.0",
        "activity 54 (t_km_actual): 1.31546 kg per unit",
        "flag class_from_load: the class of the truck follows from the loads of the supplier",
    ):
        assert text in out, out


def test_the_arithmetic_of_an_explanation_adds_up(run: Run, tables: Table) -> None:
    trips(tables, 450)
    shift(tables, 4000)
    run("scan")
    for row in tables.rows("select event_id, predicted_co2, kg_ttw, kg_wtt from predictions"):
        found = json.loads(run("explain", str(row["event_id"]), "--json")[1])
        assert found["stored"]["predicted_co2"] == found["kg_total"] == row["predicted_co2"]
        assert "differs" not in found
        for kind in ("ttw", "wtt"):
            kg = sum(
                float(term["quantity"]) * float(term[f"kg_{kind}_per_unit"])
                for term in found["arithmetic"]
            )
            assert kg == pytest.approx(row[f"kg_{kind}"], abs=0.0005)
        assert {factor["id"] for factor in found["factors"]} == {
            name for term in found["arithmetic"] for name in term["factor_ids"]
        }
        assert all(factor["licence"] and factor["year"] for factor in found["factors"])


def test_the_explanation_of_an_event_before_its_class_was_known_stays_that_of_then(
    run: Run, tables: Table
) -> None:
    trips(tables, *[450] * 11, 4000, 450)
    run("scan")
    ids = [row["event_id"] for row in tables.rows("select event_id from predictions order by 1")]
    first, last = (json.loads(run("explain", str(i), "--json")[1]) for i in (ids[0], ids[-1]))
    assert (first["vehicle_class"], last["vehicle_class"]) == ("rigid_7_5", "rigid_17")
    assert "differs" not in first
    assert "differs" not in last


def test_a_quarantined_event_and_an_unknown_one_are_explained(run: Run, tables: Table) -> None:
    trips(tables, 450, km=6000)
    run("scan")
    (row,) = tables.rows("select event_id from quarantine")
    status, out, _ = run("explain", str(row["event_id"]))
    assert status == 0
    assert "quarantine: held, distance_km 6000 is not above 0 and up to 5000" in out
    assert "no kilograms: distance_km 6000" in out
    status, _, err = run("explain", "999999")
    assert (status, "there is no event 999999" in err) == (1, True)


def test_an_explanation_says_when_the_stored_kilograms_are_of_other_settings(
    run: Run, tables: Table, env: dict[str, str]
) -> None:
    trips(tables, 450)
    run("scan")
    tables.execute("update predictions set predicted_co2 = 70, factors_sha256 = 'other'")
    (row,) = tables.rows("select event_id from predictions")
    out = run("explain", str(row["event_id"]))[1]
    assert "note: the stored kilograms are of other factors" in out
    assert "71.035 kg CO2e" in out
