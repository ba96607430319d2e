"""The service as a process. Its Realtime is a closed port unless a test says otherwise."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from typing import LiteralString

import psycopg
import pytest

from tests.worker.conftest import Start, Table
from worker.realtime import pause

SECONDS = 40.0
EVENT = {"event_type": "logistics", "supplier_id": "A", "timestamp": "2026-01-05Z"}
QUICK = {"WORKER_SCAN_SECONDS": "3600", "WORKER_POLL_SECONDS": "0.2"}


def eventually(holds: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def stopped(process: subprocess.Popen[str]) -> str:
    """End it as a platform does; gives what it said."""
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    return err


def count(tables: Table, query: LiteralString) -> int:
    return len(tables.rows(query))


def test_it_scans_on_its_schedule_without_realtime(start: Start, tables: Table) -> None:
    process = start("run", WORKER_SCAN_SECONDS="0.5", WORKER_POLL_SECONDS="60")
    done: LiteralString = "select from scans where reason = 'schedule' and status = 'done'"
    eventually(lambda: count(tables, done) >= 3, process)
    err = stopped(process)
    assert "without Realtime, polling meanwhile: " in err
    assert "Traceback" not in err


def test_it_deletes_what_is_over_and_old_where_asked_to(start: Start, tables: Table) -> None:
    tables.execute(
        "insert into scans (status, reason, finished_at) values"
        " ('done', 'old', now() - interval '3 days'), ('done', 'new', now() - interval '1 day')"
    )
    tables.insert([EVENT | {"distance_km": n} for n in (*[1] * 402, 2)])
    process = start("run", **QUICK)
    judged: LiteralString = "select from predictions"
    eventually(lambda: count(tables, judged) == 403, process)
    stopped(process)
    tables.execute(
        "update events_normalized set created_at = now() - interval '3 days'"
        " where id <> (select max(id) from events_normalized)"
    )
    process = start("run", WORKER_KEEP_DAYS="2", **QUICK)
    # The last 400 of each detector stay.
    eventually(lambda: count(tables, "select from events_normalized") == 400, process)
    left: LiteralString = "select reason from scans where reason in ('old', 'new')"
    eventually(lambda: tables.rows(left) == [{"reason": "new"}], process)
    assert "pruned events=3" in stopped(process)


def test_it_finds_new_events_by_polling_without_realtime(start: Start, tables: Table) -> None:
    process = start("run", **QUICK)
    found: LiteralString = "select from predictions"
    tables.insert([EVENT | {"distance_km": 1}])
    eventually(lambda: count(tables, found) == 1, process)
    tables.insert([EVENT | {"distance_km": 2}])
    eventually(lambda: count(tables, found) == 2, process)
    eventually(lambda: not tables.rows("select from scans where status <> 'done'"), process)
    stopped(process)


def test_polling_an_empty_queue_leaves_no_trace(start: Start, tables: Table) -> None:
    process = start("run", **QUICK)
    tables.insert([EVENT | {"distance_km": 1}])
    eventually(lambda: tables.rows("select from scans where status = 'done'"), process)
    trace: LiteralString = "select s.id, l.token from scans s, leases l"
    before = tables.rows(trace)
    statements: LiteralString = (
        "select xact_commit n from pg_stat_database where datname = current_database()"
    )
    seen = tables.rows(statements)[0]["n"]
    eventually(lambda: tables.rows(statements)[0]["n"] > seen + 20, process)
    stopped(process)
    assert tables.rows(trace) == before


def test_a_requested_scan_is_run(start: Start, tables: Table) -> None:
    process = start("run", **QUICK)
    tables.execute("insert into scans (reason) values ('requested')")
    eventually(
        lambda: tables.rows("select from scans where status = 'done' and counts is not null"),
        process,
    )
    stopped(process)


def test_a_second_worker_says_that_another_one_is_active(start: Start, tables: Table) -> None:
    first = start("run", **QUICK)
    beats: LiteralString = "select holder::text from worker_heartbeats"
    eventually(lambda: tables.rows(beats), first)
    [row] = tables.rows(beats)
    tables.insert([EVENT | {"distance_km": 1}])
    again: LiteralString = "select from worker_heartbeats where seen_at > started_at + '0.5 s'"
    eventually(lambda: count(tables, again) == 1, first)
    second = start("run", **QUICK)
    eventually(lambda: count(tables, beats) == 2, second)
    tables.insert([EVENT | {"distance_km": 2}])
    eventually(lambda: count(tables, "select from predictions") == 2, second)
    err = stopped(second)
    assert f"another worker is active: {row['holder']}, started 20" in err
    assert err.count("another worker is active") == 1
    assert "another worker" not in stopped(first)


def test_a_scan_that_was_run_by_itself_and_ended_is_no_other_worker(
    start: Start, tables: Table
) -> None:
    for _ in range(2):
        scan = start("scan")
        scan.communicate(timeout=SECONDS)
        assert scan.returncode == 0
    process = start("run", **QUICK)
    again: LiteralString = "select from worker_heartbeats where seen_at > started_at + '0.5 s'"
    for number in (1, 2):  # both its first beats have looked around
        tables.insert([EVENT | {"distance_km": number}])
        eventually(lambda: count(tables, "select from predictions") == number, process)  # noqa: B023
    eventually(lambda: count(tables, again) == 1, process)
    assert count(tables, "select from worker_heartbeats") == 3
    assert "another worker" not in stopped(process)


def test_a_worker_that_was_heard_of_long_ago_is_not_active(start: Start, tables: Table) -> None:
    tables.execute(
        "insert into worker_heartbeats (holder, seen_at, pending)"
        " values (gen_random_uuid(), now() - interval '2 minutes', 0)"
    )
    process = start("run", **QUICK)
    eventually(lambda: count(tables, "select from worker_heartbeats") == 2, process)
    tables.insert([EVENT | {"distance_km": 1}])
    eventually(lambda: count(tables, "select from predictions") == 1, process)
    assert "another worker" not in stopped(process)


def test_who_waits_for_the_scan_of_another_worker_says_so_once(start: Start, tables: Table) -> None:
    tables.execute(
        "update leases set holder = gen_random_uuid(), until = now() + interval '1 hour'"
    )
    process = start("run", **QUICK)
    tables.insert([EVENT | {"distance_km": 1}])
    statements: LiteralString = (
        "select xact_commit n from pg_stat_database where datname = current_database()"
    )
    assert process.stderr is not None
    while "another scan is running: " not in (said := process.stderr.readline()):
        assert process.poll() is None
    assert "has the lease until" in said
    seen = tables.rows(statements)[0]["n"]
    eventually(lambda: tables.rows(statements)[0]["n"] > seen + 20, process)
    assert "another scan is running: " not in stopped(process)


def test_it_outlives_a_database_that_refuses_for_a_while(start: Start, tables: Table) -> None:
    """Once it has worked; before that it would be a project without the schema."""
    tables.insert([EVENT | {"distance_km": 2}])
    process = start("run", **QUICK)
    eventually(lambda: tables.rows("select from predictions"), process)
    tables.execute("alter function start_scan rename to start_scan_away")
    assert process.stderr is not None
    while "apply supabase/migrations" not in process.stderr.readline():
        assert process.poll() is None
    tables.execute("alter function start_scan_away rename to start_scan")
    tables.insert([EVENT | {"distance_km": 1}])
    eventually(lambda: len(tables.rows("select from predictions")) == 2, process)
    assert "scanning again" in stopped(process)


def test_sigterm_commits_the_batch_in_flight(start: Start, tables: Table) -> None:
    tables.insert([EVENT | {"distance_km": number} for number in range(1, 21)])
    process = start("run", WORKER_BATCH_EVENTS="5", **QUICK)
    with psycopg.connect(tables.dsn) as connection:
        connection.execute("lock table predictions in share mode")
        waiting: LiteralString = """select from pg_locks where not granted
            and relation = 'predictions'::regclass"""
        eventually(lambda: tables.rows(waiting), process)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        while "stopping after the batch in flight" not in process.stderr.readline():
            assert process.poll() is None
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert count(tables, "select from predictions") == 5
    assert tables.rows("select holder from leases") == [{"holder": None}]


@pytest.mark.parametrize("command", ["run", "scan"])
def test_without_supabase_it_stops_at_once_and_speaks_of_no_batch(
    start: Start, command: str
) -> None:
    away = {"SUPABASE_URL": "http://127.0.0.1:1", "WORKER_RETRY_SECONDS": "60"}
    process = start(command, WORKER_GRACE_SECONDS="30", WORKER_LOG_LEVEL="DEBUG", **away)
    said = ""
    while "trying again: " not in said:
        said += process.stderr.readline() if process.stderr is not None else ""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=SECONDS)
    assert time.monotonic() - began < 5
    assert "in the middle of a batch" not in err
    assert "Traceback" not in err


def test_a_batch_that_takes_too_long_is_given_up_when_stopping(start: Start, tables: Table) -> None:
    tables.insert([EVENT | {"distance_km": 1}])
    process = start("run", WORKER_GRACE_SECONDS="0.2", **QUICK)
    with psycopg.connect(tables.dsn) as connection:
        connection.execute("lock table predictions in share mode")
        waiting: LiteralString = """select from pg_locks where not granted
            and relation = 'predictions'::regclass"""
        eventually(lambda: tables.rows(waiting), process)
        assert "stopped in the middle of a batch" in stopped(process)


@pytest.mark.parametrize(("attempt", "longest"), [(0, 0.5), (1, 1.0), (5, 16.0), (6, 30.0)])
def test_pauses_between_attempts_grow_and_are_spread(attempt: int, longest: float) -> None:
    assert pause(attempt, 0.0) == longest / 2
    assert pause(attempt, 1.0) == longest
    assert pause(10**9, 1.0) == 30.0
