from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from tests.worker.conftest import Run, Start, Table
from worker.command_line import main
from worker.settings import VARIABLES

TEXT = "timestamp,supplier_id,event_type,distance_km\n2026-01-05 09:00:00Z,A,logistics,100\n"


def test_a_file_on_standard_input_is_read(start: Start, tables: Table) -> None:
    process = start("ingest", "-", stdin=subprocess.PIPE)
    out, err = process.communicate("\ufeff" + TEXT.replace("\n", "\r\n"), timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("written=1 repeated=0 refused=0 quarantined=0\n")
    assert tables.rows("select supplier_id from events_normalized") == [{"supplier_id": "A"}]


def test_an_ingest_whose_output_nobody_reads_says_so(start: Start, tables: Table) -> None:
    process = start("ingest", "-", stdin=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(TEXT, timeout=60)
    assert process.returncode == 2
    assert err.startswith("worker: nobody reads the output any more")
    assert err.count("\n") == 1
    assert len(tables.rows("select * from events_normalized")) == 1


def test_ctrl_c_ends_an_ingest_that_reads(start: Start, tables: Table) -> None:
    process = start("ingest", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    # More than a pipe holds: once all of it is written, the process reads, and waits for more.
    process.stdin.write(TEXT + "x\n" * 500_000)
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert " more: refused: 1 fields where the header has 4\n" in err
    assert err.endswith("worker: interrupted\n")
    assert "Traceback" not in err
    assert tables.rows("select * from events_normalized") == []


def test_a_scan_prints_one_line(start: Start, tables: Table) -> None:
    tables.insert([{"event_type": "logistics", "supplier_id": "A", "timestamp": "2026-01-05Z"}])
    out, err = (process := start("scan")).communicate(timeout=60)
    assert process.returncode == 0
    assert out.startswith("scan 1 done: events=0 quarantined=1 failed=0 predictions=0 opened=0 ")
    assert "1 implausible events are held, see `python -m worker quarantine list`" in out
    assert out.count("\n") == 1
    assert "WARNING worker: GRID_COUNTRY is not set" in err
    assert err.count("\n") == 1
    (event,) = tables.rows("select kind, reason from quarantine")
    reason = "it gives no distance and no measured fuel, energy or co2e_kg"
    assert event == {"kind": "energy", "reason": reason}
    assert tables.rows("select * from event_queue") == []


def test_a_quarantined_event_is_judged_once_it_is_mended(run: Run, tables: Table) -> None:
    tables.insert([{"event_type": "logistics", "supplier_id": "A", "timestamp": "2026-01-05Z"}])
    assert run("scan")[0] == 0
    tables.execute("update events_normalized set distance_km = 10")
    assert "events=1 quarantined=0 failed=0" in run("scan")[1]
    assert tables.rows("select * from quarantine") == []


def test_a_dead_event_can_be_repaired_and_tried_again(run: Run, tables: Table) -> None:
    trip = {"event_type": "logistics", "supplier_id": "A", "timestamp": "2026-01-05Z"}
    tables.insert([trip | {"distance_km": -10}])
    assert "failed=1" in run("scan")[1]
    tables.execute("update events_normalized set distance_km = 10")
    assert tables.rows("select retry_dead_events() n") == [{"n": 1}]
    assert "events=1 quarantined=0 failed=0" in run("scan")[1]
    assert tables.rows("select * from event_queue") == []


def test_events_without_a_country_are_counted_where_none_is_set(run: Run, tables: Table) -> None:
    shift = {"event_type": "factory", "supplier_id": "A", "timestamp": "2026-01-05Z"}
    tables.insert([shift])
    tables.execute("update events_normalized set energy_kwh = 4000")
    assert "; 1 events without a country are computed with the world's average" in run("scan")[1]
    assert tables.rows("select grid_country, dq, flags from predictions") == [
        {
            "grid_country": "WORLD",
            "dq": 5,
            "flags": ["country_assumed", "td_missing", "factor_year"],
        }
    ]


def test_a_scan_leaves_with_success_while_another_holds_the_lease(run: Run, tables: Table) -> None:
    tables.execute(
        "update leases set holder = gen_random_uuid(), until = now() + interval '1 hour'"
    )
    status, out, _ = run("scan")
    assert status == 0
    assert out.startswith("another scan is running: ")


@pytest.mark.parametrize("arguments", [[], ["dance"], ["ingest"], ["scan", "now"]])
def test_wrong_usage_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    assert "usage: python -m worker" in capsys.readouterr().err


def test_help_names_every_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["--help"])
    assert exit.value.code == 0
    text = capsys.readouterr().out
    assert all(variable.name in text for variable in VARIABLES)


def test_a_missing_variable_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUPABASE_URL", raising=False)
    assert main(["scan"]) == 2
    assert "SUPABASE_URL is not set" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_named(run: Run, tmp_path: Path) -> None:
    status, out, err = run("ingest", str(tmp_path / "none.csv"))
    assert (status, out) == (2, "")
    assert "none.csv cannot be used: No such file or directory" in err
    assert run("ingest", str(tmp_path))[0] == 2


def test_a_file_without_a_usable_header_is_refused(run: Run, tables: Table) -> None:
    status, out, err = run("ingest", text="a;b;c\n1;2;3\n")
    assert (status, out) == (2, "")
    assert "the header lacks timestamp, supplier_id, event_type" in err
    assert tables.rows("select * from events_normalized") == []


def test_bad_rows_are_reported_with_line_and_reason(run: Run, tables: Table) -> None:
    text = TEXT + "2026-01-05 09:30:00Z,A,logistics,-4\n" + TEXT.splitlines()[1] + "\n"
    status, out, err = run("ingest", text=text)
    assert status == 1
    assert out.startswith("written=2 repeated=0 refused=1 quarantined=0\n")
    assert err == "line 3: refused: distance_km '-4' is negative\n"


@pytest.mark.parametrize("command", ["scan", "run", "ingest"])
def test_a_wrong_key_is_refused_with_the_remedy(
    run: Run, env: dict[str, str], command: str
) -> None:
    env |= {"SUPABASE_SECRET_KEY": "sb_secret_wrong"}
    status, out, err = run(command, text=TEXT if command == "ingest" else None)
    assert (status, out) == (3, "")
    assert "set SUPABASE_SECRET_KEY to the secret key of the project" in err
    assert "sb_secret_wrong" not in err


def test_an_unreachable_project_is_a_clear_error(run: Run, env: dict[str, str]) -> None:
    env |= {"SUPABASE_URL": "http://127.0.0.1:1", "WORKER_RETRY_SECONDS": "0.1"}
    status, out, err = run("scan")
    assert (status, out) == (3, "")
    assert "start_scan: Supabase cannot be reached" in err
    assert "Traceback" not in err


def test_a_second_ctrl_c_ends_a_scan_that_waits(start: Start, tables: Table) -> None:
    tables.insert([{"event_type": "logistics", "supplier_id": "A", "timestamp": "2026-01-05Z"}])
    with psycopg.connect(tables.dsn) as connection:
        connection.execute("select from leases for update")
        process = start("scan")
        waiting(tables)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "once more ends it at once" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "worker: interrupted\n"


def waiting(tables: Table) -> None:
    """Return when a call waits for the lease's row."""
    deadline = time.monotonic() + 40
    while not tables.rows(
        """select from pg_stat_activity where wait_event_type = 'Lock'
        and datname = current_database()"""
    ):
        assert time.monotonic() < deadline, "nobody waits for the lease"
        time.sleep(0.02)


def test_a_scan_tells_everybody_from_which_ratios_on_it_calls_what_how(
    env: dict[str, str], tables: Table, run: Run
) -> None:
    env |= {"WORKER_INFO_RATIO": "1.2", "WORKER_WARN_RATIO": "1.4", "WORKER_CRITICAL_RATIO": "2"}
    assert run("scan")[0] == 0
    (summary,) = tables.rows("select emissions_summary() -> 'limits' as limits")
    assert summary["limits"] == {"info": 1.2, "warn": 1.4, "critical": 2.0}
