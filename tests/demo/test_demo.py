"""The demo as a whole: what `make demo` promises, with real processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.sync.connection import Connection

from tests.demo.running import PROJECT, Demo, demo, free_port, wait_for

pytestmark = pytest.mark.timeout(180)

KEYS = {
    "hotspots": {
        *("id", "entity", "entity_type", "predicted_co2", "baseline_co2", "percent_above"),
        *("severity", "status", "event_id", "created_at", "resolved_at"),
    },
    "alerts": {
        *("id", "level", "message", "hotspot_id", "created_at", "acknowledged", "acknowledged_at"),
    },
    "recommendations": {
        *("id", "hotspot_id", "action", "co2_reduction", "status", "root_cause", "created_at"),
    },
}
STAMPS = {"version", "tx", "changed_at"}
ENDPOINTS = tuple(KEYS)


@pytest.fixture(scope="module")
def data(private_directory: Callable[[], Path]) -> Iterator[Path]:
    directory = private_directory()
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def shown(data: Path) -> Iterator[Demo]:
    """A demo that is ready."""
    with demo(data) as running:
        running.wait_line("ready")
        yield running


def listen(shown: Demo, endpoint: str, *subprotocols: str, query: str = "") -> ClientConnection:
    return connect(
        f"{shown.sockets}/ws/{endpoint}{query}",
        subprotocols=[*subprotocols] or None,  # type: ignore[list-item]
        proxy=None,
    )


def held(socket: Connection) -> set[int]:
    """Ids of the rows that a resumable client holds once it is synced."""
    ids: set[int] = set()
    while (frame := json.loads(socket.recv(timeout=60)))["type"] != "synced":
        if frame.get("record"):
            ids.add(frame["record"]["id"])
    return ids


def command(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=PROJECT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_plain_client_sees_a_bare_row_within_30_seconds(shown: Demo, endpoint: str) -> None:
    with listen(shown, endpoint) as socket:
        row = json.loads(socket.recv(timeout=30))
    assert row.keys() >= KEYS[endpoint]
    assert not row.keys() & STAMPS


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_resumable_client_gets_hello_then_state_then_synced(shown: Demo, endpoint: str) -> None:
    with listen(shown, endpoint, "relay.v1") as socket:
        first = json.loads(socket.recv(timeout=60))
        assert (first["type"], first["endpoint"]) == ("hello", endpoint)
        types = []
        while "synced" not in types:
            types.append(json.loads(socket.recv(timeout=60))["type"])
    assert types.index("synced") > 0
    assert set(types[:-1]) <= {"INSERT", "UPDATE", "DELETE", "status"}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_scan_is_queued_by_get_and_by_post(shown: Demo, method: str) -> None:
    answer = httpx.request(method, f"{shown.relay}/hotspots/scan", trust_env=False, timeout=60)
    assert answer.status_code == 202
    scan = answer.json()["id"]

    def done() -> bool:
        return bool(
            httpx.get(f"{shown.relay}/scans/{scan}", trust_env=False, timeout=60).json()["status"]
            == "done"
        )

    wait_for(done, 20, f"scan {scan} done")


def test_check_names_all_three_endpoints(shown: Demo) -> None:
    result = command("relay", "check", "--url", shown.sockets, "--wait", "1", env={})
    assert result.returncode == 0, result.stderr
    for endpoint in ENDPOINTS:
        assert any("connected" in line and endpoint in line for line in result.stdout.splitlines())


def test_own_events_become_a_hotspot(shown: Demo, tmp_path: Path) -> None:
    columns = "supplier_id,timestamp,event_type,distance_km,planned_distance_km,load_kg"
    day = datetime.now(UTC) - timedelta(days=364)  # within the demo's own year
    kilometres = [*(100 + number % 3 for number in range(60)), 250]
    lines = [
        f"Own_Fleet,{(day + timedelta(days=number)).isoformat()},logistics,{km},100,400"
        for number, km in enumerate(kilometres)
    ]
    file = tmp_path / "events.csv"
    file.write_text("\n".join([columns, *lines]) + "\n")
    with listen(shown, "hotspots", query="?entity=Own_Fleet") as socket:
        result = command("worker", "ingest", str(file), env=shown.variables())
        assert result.returncode == 0, result.stderr
        row = json.loads(socket.recv(timeout=20))
    assert (row["severity"], row["status"]) == ("critical", "active")
    assert row["percent_above"] == pytest.approx(147.5, abs=2)
    assert "mainly distance" in row["reason"]


def test_generator_may_not_write_hotspots(shown: Demo) -> None:
    """Its token opens the events table and nothing else."""
    variables = shown.variables()
    token = subprocess.run(
        [
            *(sys.executable, "-m", "emulator", "token"),
            *("--role", "event_writer", "--data", str(shown.data)),
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    headers = {"apikey": variables["SUPABASE_PUBLISHABLE_KEY"], "Authorization": f"Bearer {token}"}
    rest = f"{variables['SUPABASE_URL']}/rest/v1"
    hotspot = {
        "entity": "x",
        "entity_type": "supplier",
        "event_type": "logistics",
        "predicted_co2": 2,
        "baseline_co2": 1,
        "percent_above": 100,
        "severity": "critical",
    }
    event = {"supplier_id": "x", "event_type": "logistics", "timestamp": "2026-01-05T00:00:00Z"}
    minimal = {"Prefer": "return=minimal"}
    with httpx.Client(headers=headers, trust_env=False, timeout=60) as client:
        refused = client.post(f"{rest}/hotspots", json=hotspot, headers=minimal)
        written = client.post(f"{rest}/events_normalized", json=event, headers=minimal)
        unread = client.get(f"{rest}/events_normalized")
    assert (refused.status_code, refused.json()["code"]) == (403, "42501")
    assert written.status_code == 201
    assert (unread.status_code, unread.json()["code"]) == (403, "42501")


@pytest.mark.parametrize(
    "victim",
    [
        pytest.param("-m worker run", id="worker"),
        pytest.param("-m relay", id="relay"),
        pytest.param("-m demo --seed", id="feed"),
        pytest.param("postgres -D", id="postgres"),
        pytest.param("-m emulator --port", id="emulator"),
    ],
)
def test_killing_any_part_is_survived(shown: Demo, victim: str) -> None:
    (before,) = shown.pids(victim)
    shown.kill(victim)
    wait_for(lambda: shown.pids(victim) not in ([], [before]), 20, f"{victim} is back")
    wait_for(shown.is_ready, 40, "the relay is ready again")
    with listen(shown, "hotspots") as socket:
        assert json.loads(socket.recv(timeout=60))["id"]


def test_the_processes_are_named_and_the_one_that_takes_the_place_of_another(shown: Demo) -> None:
    wait_for(lambda: "Ctrl-C stops" in "".join(shown.lines), 60, "all addresses are told")
    line = next(line for line in shown.lines if "  processes  " in line)
    named = dict(re.findall(r"(\w+) (\d+)", line))
    assert named.keys() == {"emulator", "worker", "relay", "feed"}
    (before,) = shown.pids("-m worker run")
    os.kill(before, signal.SIGKILL)
    text = "worker runs again as process "
    wait_for(lambda: [before] != shown.pids("-m worker run") != [], 60, "the worker is back")
    (after,) = shown.pids("-m worker run")
    wait_for(lambda: any(line.endswith(f"{text}{after}") for line in shown.lines), 60, text)


def rows(demo: Demo) -> set[int]:
    with listen(demo, "hotspots", "relay.v1") as socket:
        return held(socket)


def test_ctrl_c_ends_everything_and_the_data_is_kept(
    private_directory: Callable[[], Path],
) -> None:
    directory = private_directory()
    try:
        with demo(directory) as first:
            first.wait_line("ready")
            wait_for(lambda: bool(rows(first)), 100, "there is a hotspot")
            with listen(first, "hotspots", "relay.v1") as socket:
                before = held(socket)
                seconds = first.interrupt()
            assert seconds < 5
            assert first.process.returncode == 0
            assert first.pids() == []
        with demo(directory) as second:
            second.wait_line("ready")
            with listen(second, "hotspots", "relay.v1") as socket:
                assert before <= held(socket)
            # Whoever kills the demo itself finds nothing left of it either.
            second.process.kill()
            second.process.wait()
            # A worker amid a batch first tries for a while to store it, with nobody there any more.
            wait_for(lambda: second.pids() == [], 120, "all parts ended with the demo")
    finally:
        shutil.rmtree(directory)


def test_without_a_feed_the_field_is_the_users_own(
    private_directory: Callable[[], Path],
) -> None:
    directory = private_directory()
    try:
        with demo(directory, "--no-feed") as empty:
            empty.wait_line("worker ingest FILE")
            assert httpx.get(f"{empty.relay}/hotspots", trust_env=False, timeout=60).json() == []
            file = str(PROJECT / "docs/samples/trips.csv")
            with listen(empty, "hotspots") as socket:
                result = command("worker", "ingest", file, env=empty.variables())
                assert result.returncode == 0, result.stderr
                row = json.loads(socket.recv(timeout=40))
        assert (row["entity"], row["severity"]) == ("Acme Haulage", "critical")
        learned = "Acme Haulage  logistics  primary, per t_km_planned     20 events  yes"
        assert learned in result.stdout
    finally:
        shutil.rmtree(directory)


def another(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A demo that cannot start, from its start to its end."""
    return subprocess.run(
        [sys.executable, "-m", "demo", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("taken", ["emulator", "relay"])
def test_port_in_use_is_said_before_anything_starts(
    shown: Demo, tmp_path: Path, taken: str
) -> None:
    ports = {"emulator": free_port(), "relay": free_port()}
    ports[taken] = {"emulator": shown.emulator_port, "relay": shown.relay_port}[taken]
    options = (f"--{name}-port={port}" for name, port in ports.items())
    result = another("--data", str(tmp_path / "other"), *options)
    assert result.returncode == 1
    assert f"127.0.0.1:{ports[taken]} is in use" in result.stdout
    assert f"--{taken}-port" in result.stdout
    assert "ready" not in result.stdout
    assert not (tmp_path / "other").exists()


def test_a_second_demo_on_the_same_data_leaves_the_first_one_its_variables(shown: Demo) -> None:
    ports = (f"--emulator-port={free_port()}", f"--relay-port={free_port()}")
    result = another("--data", str(shown.data), *ports)
    assert result.returncode == 1
    assert "is in use by another emulator" in result.stdout
    assert shown.variables()["SUPABASE_URL"].endswith(f":{shown.emulator_port}")


def test_with_access_control_the_demo_prints_whom_to_sign_in_as(
    private_directory: Callable[[], Path],
) -> None:
    """Twice on the same data: the user of the first time is there already."""
    directory = private_directory()
    try:
        for _ in range(2):
            with demo(directory, "--auth") as running:
                running.wait_line("ready")
                running.wait_line("Ctrl-C stops")
                (email, password) = next(
                    line.split()[-2:] for line in running.lines if "sign in " in line
                )
                variables = running.variables()
                session = httpx.post(
                    f"{variables['SUPABASE_URL']}/auth/v1/token?grant_type=password",
                    headers={"apikey": variables["SUPABASE_PUBLISHABLE_KEY"]},
                    json={"email": email, "password": password},
                    trust_env=False,
                    timeout=60,
                )
                assert session.status_code == 200, session.text
                minted = command("emulator", "token", "--data", str(directory), env={})
                for token in (session.json()["access_token"], minted.stdout.strip()):
                    checked = command(
                        "relay", "check", "--url", running.sockets, env={"RELAY_TOKEN": token}
                    )
                    assert checked.returncode == 0, checked.stdout
                refused = command("relay", "check", "--url", running.sockets, env={})
                assert (refused.returncode, "RELAY_TOKEN" in refused.stdout) == (1, True)
                running.interrupt()
    finally:
        shutil.rmtree(directory)
