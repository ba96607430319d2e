"""Runs PostgreSQL: starts it, watches it, starts it again when it dies, stops it."""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from emulator import cluster, leftovers
from emulator.account import Account, drop, make_private
from emulator.binaries import Binaries
from emulator.parent_death import die_with_us

logger = logging.getLogger(__name__)

START_SECONDS = 60.0  # crash recovery of a big data directory takes a while
POLL_SECONDS = 0.01
STOP_SECONDS = 1.5
QUIT_SECONDS = 0.7
RESTARTS = 5
RESTART_WINDOW_SECONDS = 30.0
SOCKET_PORT = 5432

SERVER: Mapping[str, str] = {
    "wal_level": "logical",
    "max_replication_slots": "20",
    "max_wal_senders": "20",
    "max_connections": "200",
    "max_slot_wal_keep_size": "1GB",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "logging_collector": "off",
}


class StartFailed(Exception):
    """PostgreSQL did not come up; the message holds the end of its log."""


@dataclass(kw_only=True)
class Postgres:
    """One PostgreSQL server under supervision. All methods block and may be called by any thread.

    A thread of its own starts the server and waits for it, since the kernel ends the server with
    the thread that started it. `parameters` go over the emulator's own server settings; `tcp_port`
    opens loopback TCP, where a password is asked for. `on_failure` is called in that thread when
    the server died and cannot be brought back.
    """

    binaries: Binaries
    places: cluster.Places
    account: Account | None
    log: Path
    parameters: Mapping[str, str] = field(default_factory=dict)
    tcp_port: int | None = None
    on_failure: Callable[[str], None] = field(default=logger.critical)
    restarts: int = field(default=0, init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)
    _thread: threading.Thread | None = field(default=None, init=False, repr=False)
    _stopping: threading.Event = field(default_factory=threading.Event, init=False, repr=False)

    @property
    def port(self) -> int:
        """The port of the socket's name, and of TCP where it is open."""
        return self.tcp_port or SOCKET_PORT

    @property
    def pid(self) -> int:
        """Process id of the postmaster that was started last."""
        if self._process is None:
            raise StartFailed("PostgreSQL has not been started")
        return self._process.pid

    def dsn(self, user: str, dbname: str = "postgres") -> str:
        """Connection string over the private socket, which asks for no password."""
        return make_conninfo(
            "", host=str(self.places.sockets), port=self.port, user=user, dbname=dbname
        )

    def start(self) -> None:
        """Return when the server accepts connections. Raises StartFailed,
        StillRunning, PlaceRefused.
        """
        for pid in leftovers.clear(self.places.cluster):
            logger.warning("process of a killed emulator ended pid=%d", pid)
        make_private(self.places.sockets, self.account)
        self._stopping.clear()
        self.log.unlink(missing_ok=True)
        started = threading.Event()
        errors: list[Exception] = []
        self._thread = threading.Thread(
            target=self._supervise, args=(started, errors), name="postgres", daemon=True
        )
        self._thread.start()
        started.wait()
        if errors:
            self._thread.join()
            raise errors[0]

    def stop(self) -> None:
        """End the server within about 2.5 s, cleanly when its clients let it; return when it has.

        Safe to call at any time, also twice.
        """
        self._stopping.set()
        if self._thread is not None:
            if self._process is not None:
                self._end(self._process)
            self._thread.join()
            self._thread = None
        shutil.rmtree(self.places.sockets, ignore_errors=True)

    def kill(self) -> None:
        """End the postmaster without notice, as `kill -9` does; it is then started again."""
        if self._process is not None:
            self._process.kill()

    def _supervise(self, started: threading.Event, errors: list[Exception]) -> None:
        try:
            process = self._spawn()
            self._wait_ready(process)
        except (OSError, StartFailed) as exc:
            errors.append(exc)
            return
        finally:
            started.set()
        try:
            self._keep_running(process)
        except (OSError, StartFailed, leftovers.StillRunning) as exc:
            if not self._stopping.is_set():
                self.on_failure(f"PostgreSQL died and cannot be brought back: {exc}")

    def _keep_running(self, process: subprocess.Popen[bytes]) -> None:
        deaths: deque[float] = deque(maxlen=RESTARTS)
        while True:
            if self._stopping.is_set():  # stop() may have come before there was a process to end
                self._end(process)
                return
            process.wait()
            if self._stopping.is_set():
                return
            now = time.monotonic()
            if len(deaths) == RESTARTS and now - deaths[0] < RESTART_WINDOW_SECONDS:
                raise StartFailed(f"it died {RESTARTS + 1} times in a row:\n{self._log_tail()}")
            deaths.append(now)
            logger.warning("PostgreSQL died, it is started again status=%d", process.returncode)
            # Its backends outlive it for a moment, and a new server must not start beside them.
            leftovers.clear(self.places.cluster)
            process = self._spawn()
            self._wait_ready(process)
            self.restarts += 1

    def _spawn(self) -> subprocess.Popen[bytes]:
        sockets = str(self.places.sockets)
        parameters = dict(SERVER) | {"unix_socket_directories": sockets, "port": str(self.port)}
        parameters["listen_addresses"] = "127.0.0.1" if self.tcp_port else ""
        parameters |= self.parameters
        command = [str(self.binaries.postgres), "-D", str(self.places.cluster)]
        for name, value in parameters.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd="/",
                env=cluster.ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for us, who then stop it
                preexec_fn=die_with_us(signal.SIGQUIT),
                **drop(self.account),
            )
        return self._process

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._stopping.is_set():
            if process.poll() is not None:
                raise StartFailed(f"PostgreSQL ended at once:\n{self._log_tail()}")
            try:
                psycopg.connect(self.dsn(cluster.SUPERUSER), connect_timeout=5).close()
            except psycopg.OperationalError as exc:
                if time.monotonic() > deadline:
                    self._end(process)
                    raise StartFailed(f"PostgreSQL is not ready: {exc}") from exc
                time.sleep(POLL_SECONDS)
            else:
                return

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        stages = [(signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, QUIT_SECONDS)]
        for number, seconds in stages:
            process.send_signal(number)
            try:
                process.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                logger.warning(
                    "PostgreSQL does not end signal=%s seconds=%.1f", number.name, seconds
                )
            else:
                return
        process.kill()
        process.wait()
        leftovers.clear(self.places.cluster)

    def _log_tail(self) -> str:
        try:
            return self.log.read_text(errors="replace")[-2000:].strip()
        except OSError:
            return ""
