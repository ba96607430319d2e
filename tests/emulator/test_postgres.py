"""The PostgreSQL supervisor: whatever is done to the server, it comes back or says why not."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import pq

from emulator import account, binaries, cluster, launch, leftovers
from emulator.postgres import Postgres, StartFailed

ADMIN = cluster.SUPERUSER


@pytest.fixture(scope="module")
def directory(private_directory: Callable[[], Path]) -> Iterator[Path]:
    """A data directory that the tests of this module use in turn."""
    made = private_directory()
    yield made
    shutil.rmtree(made)


@pytest.fixture
def server(directory: Path) -> Iterator[Postgres]:
    """A running server of the test's own."""
    server = launch.server(directory, parameters=launch.FAST)
    server.start()
    yield server
    server.stop()
    assert leftovers.running(server.places.cluster) == []


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def connect(server: Postgres) -> psycopg.Connection:
    return psycopg.connect(server.dsn(ADMIN), autocommit=True)


def owner(pid: int) -> int:
    return Path("/proc", str(pid)).stat().st_uid


def test_it_never_runs_as_root(server: Postgres) -> None:
    user = account.unprivileged()
    assert owner(server.pid) == (os.getuid() if user is None else user.uid) != 0


def test_it_decodes_logically_and_listens_on_a_private_socket_only(server: Postgres) -> None:
    with connect(server) as connection:
        shown = [
            connection.execute(b"show " + name).fetchone()
            for name in (b"wal_level", b"listen_addresses", b"server_encoding")
        ]
    assert shown == [("logical",), ("",), ("UTF8",)]
    sockets = server.places.sockets
    assert sockets.stat().st_mode & 0o077 == 0
    assert len(str(sockets / ".s.PGSQL.5432")) < 50


def test_killed_postmaster_comes_back_with_what_was_committed(server: Postgres) -> None:
    with connect(server) as connection:
        connection.execute("create table if not exists kept (id int)")
        connection.execute("insert into kept values (1)")
    before = server.pid
    began = time.monotonic()
    server.kill()
    wait_until(lambda: server.restarts == 1)
    assert time.monotonic() - began < 5
    assert server.pid != before
    with connect(server) as connection:
        assert connection.execute("select count(*) > 0 from kept").fetchone() == (True,)


def test_a_busy_backend_does_not_hinder_the_restart(server: Postgres) -> None:
    """It would run on after the postmaster's death, and a new one must not start beside it."""
    with contextlib.closing(connect(server)) as connection:
        (backend,) = connection.execute("select pg_backend_pid()").fetchone() or (0,)
        connection.pgconn.send_query(
            b"do $$ begin loop perform count(*) from generate_series(1, 1000000); end loop; end $$"
        )
        connection.pgconn.flush()
        server.kill()
        wait_until(lambda: server.restarts == 1)
        assert backend not in leftovers.running(server.places.cluster)


def test_a_server_that_keeps_dying_is_given_up(directory: Path) -> None:
    told: list[str] = []
    given_up = threading.Event()

    def on_failure(reason: str) -> None:
        told.append(reason)
        given_up.set()

    server = launch.server(directory, parameters=launch.FAST)
    server.on_failure = on_failure
    server.start()
    try:
        for number in range(1, 6):
            server.kill()
            wait_until(lambda number=number: server.restarts == number)  # type: ignore[misc]
        server.kill()
        assert given_up.wait(10)
        assert "died 6 times" in told[0]
    finally:
        server.stop()
    assert leftovers.running(server.places.cluster) == []


def test_it_stops_in_time_although_a_replication_client_hangs(directory: Path) -> None:
    server = launch.server(directory, parameters=launch.FAST)
    server.start()
    replication = f"{server.dsn(ADMIN)} replication=database"
    with contextlib.closing(psycopg.connect(replication, autocommit=True)) as client:
        client.execute("CREATE_REPLICATION_SLOT hanging TEMPORARY LOGICAL pgoutput")
        started = client.pgconn.exec_(
            b"START_REPLICATION SLOT hanging LOGICAL 0/0"
            b" (proto_version '1', publication_names 'none')"
        )
        assert started.status == pq.ExecStatus.COPY_BOTH
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 3
    assert leftovers.running(server.places.cluster) == []


def test_it_can_be_stopped_twice_and_started_again(directory: Path) -> None:
    server = launch.server(directory, parameters=launch.FAST)
    for _ in range(2):
        server.start()
        connect(server).close()
        server.stop()
        server.stop()
        assert not server.places.sockets.exists()


def test_a_postmaster_left_over_on_the_data_is_ended_first(directory: Path) -> None:
    server = launch.server(directory, parameters=launch.FAST)
    account.make_private(server.places.sockets, server.account)
    command = [str(server.binaries.postgres), "-D", str(server.places.cluster)]
    command += ["-c", "listen_addresses="]
    command += ["-c", f"unix_socket_directories={server.places.sockets}"]
    pid_file = server.places.cluster / "postmaster.pid"
    user = account.drop(server.account)
    with subprocess.Popen(command, cwd="/", stderr=subprocess.DEVNULL, **user) as stray:
        wait_until(lambda: pid_file.exists() and "ready" in pid_file.read_text())
        server.start()
        try:
            assert stray.wait(5) == 0
            connect(server).close()
        finally:
            server.stop()


def test_a_stale_pid_file_that_names_another_process_is_no_hindrance(directory: Path) -> None:
    server = launch.server(directory, parameters=launch.FAST)
    with subprocess.Popen(["sleep", "60"], cwd="/", **account.drop(server.account)) as innocent:  # noqa: S607
        (server.places.cluster / "postmaster.pid").write_text(f"{innocent.pid}\n/elsewhere\n")
        server.start()
        server.stop()
        assert innocent.poll() is None
        innocent.send_signal(signal.SIGTERM)


def test_a_half_made_cluster_is_made_again(private_directory: Callable[[], Path]) -> None:
    data = private_directory()
    user = account.unprivileged()
    places = cluster.choose(data, user)
    (places.cluster.with_name("cluster.new") / "base").mkdir(parents=True)
    server = launch.server(data, parameters=launch.FAST)
    assert (server.places.cluster / "PG_VERSION").exists()
    server.stop()
    shutil.rmtree(data)


def test_data_of_another_version_is_refused_with_the_remedy(
    private_directory: Callable[[], Path],
) -> None:
    data = private_directory()
    places = cluster.choose(data, account.unprivileged())
    places.cluster.mkdir()
    (places.cluster / "PG_VERSION").write_text("14\n")
    with pytest.raises(cluster.ClusterRefused, match=r"made by PostgreSQL 14, .*PG_BIN"):
        launch.server(data)
    shutil.rmtree(data)


def test_a_setting_that_the_server_refuses_is_shown(directory: Path) -> None:
    server = launch.server(directory, parameters={**launch.FAST, "no_such_setting": "1"})
    with pytest.raises(StartFailed, match="no_such_setting"):
        server.start()
    server.stop()


def test_missing_programs_are_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(binaries.BinariesMissing, match="no programs postgres and initdb; set PG_B"):
        binaries.find(tmp_path)


def test_somebody_elses_place_is_refused(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    with pytest.raises(account.PlaceRefused):
        account.make_private(tmp_path / "link", None)
