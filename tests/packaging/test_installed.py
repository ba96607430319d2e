"""The wheel and the sdist, installed where nothing else is, and used from another directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import built
from tests.demo.running import demo, wait_for

pytestmark = pytest.mark.timeout(900)
PACKAGES = ("demo", "emulator", "relay", "worker")


@dataclass(frozen=True)
class Installed:
    """An environment with the distribution, and a directory that holds nothing of the project."""

    python: str
    directory: Path

    def run(self, *arguments: str, **variables: str) -> str:
        """What a command prints; it has to succeed."""
        done = subprocess.run(
            [self.python, *arguments],
            cwd=self.directory,
            env={"PATH": os.environ["PATH"]} | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def installed(
    request: pytest.FixtureRequest, private_directory: Callable[[], Path]
) -> Iterator[Installed]:
    directory = private_directory()
    subprocess.run([sys.executable, "-m", "venv", str(directory / "env")], check=True)
    python = str(directory / "env" / "bin" / "python")
    source = built.source(directory)
    if request.param == "wheel":
        distribution = built.wheel(source, directory)
    else:
        built.pip("install", "setuptools>=77", python=python)
        distribution = built.sdist(source, python)
    built.pip("install", "--no-compile", f"{distribution}[emulator]", python=python)
    shutil.rmtree(source)
    elsewhere = directory / "elsewhere"
    elsewhere.mkdir()
    yield Installed(python, elsewhere)
    shutil.rmtree(directory)


def test_every_part_comes_from_the_installation(installed: Installed) -> None:
    code = f"import {', '.join(PACKAGES)}; print({', '.join(f'{p}.__file__' for p in PACKAGES)})"
    for file in installed.run("-c", code).split():
        assert "site-packages" in file
    for package in PACKAGES:
        assert f"python -m {package}" in installed.run("-m", package, "--help")


@pytest.mark.parametrize("command", ["hotspot-relay", "hotspot-worker"])
def test_the_commands_have_names_of_their_own(installed: Installed, command: str) -> None:
    program = str(Path(installed.python).with_name(command))
    version = installed.run(
        "-c", "import importlib.metadata as m; print(m.version('hotspot-relay'))"
    )
    assert installed.run(program, "--version").split() == [command, version.strip()]
    assert f"usage: {command} " in installed.run(program, "--help")


def test_the_demo_and_the_commands_run_from_another_directory(
    installed: Installed, private_directory: Callable[[], Path]
) -> None:
    data = private_directory()
    events = installed.directory / "events.csv"
    events.write_text(
        "supplier_id,event_type,timestamp,distance_km\nOwn_Fleet,logistics,2026-01-05T09:00:00Z,9\n"
    )
    try:
        with demo(data, "--auth", python=installed.python, cwd=installed.directory) as running:
            running.wait_line("ready", 120)
            variables = running.variables()
            assert "written" in installed.run("-m", "worker", "ingest", str(events), **variables)
            installed.run("-m", "worker", "scan", **variables)
            token = installed.run("-m", "emulator", "token", "--data", str(data)).strip()
            said = installed.run(
                *("-m", "relay", "check", "--url", running.sockets), RELAY_TOKEN=token
            )
            assert said.count("connected") == 3
            schema = installed.directory / "schema"
            installed.run("-m", "relay", "migrations", "--to", str(schema))
            assert len(list(schema.glob("*.sql"))) > 20
            page = installed.run(
                "-c",
                "import httpx;"
                f" print(httpx.get('{running.relay}/web/session.js', timeout=60).text)",
            )
            assert "export class Session" in page
            running.interrupt()
            wait_for(lambda: running.pids() == [], 60, "everything has ended")
    finally:
        shutil.rmtree(data)
