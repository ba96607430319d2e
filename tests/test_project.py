"""The project's texts agree with its code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import emulator.settings
import relay.errors
import relay.settings
import relay.upstream.rest
import worker.database
import worker.settings
from tests.settings import REQUIRED, defaults

PROJECT = Path(__file__).parents[1]


def variables_of_the_example() -> dict[str, str]:
    pattern = re.compile(r"^#?([A-Z][A-Z_]+)=(.*)$", re.MULTILINE)
    return dict(pattern.findall((PROJECT / ".env.example").read_text()))


def test_env_example_names_exactly_what_the_settings_read() -> None:
    assert set(variables_of_the_example()) == set(defaults())


def test_env_example_works_as_it_is_once_the_keys_are_filled_in() -> None:
    environment = {n: v for n, v in variables_of_the_example().items() if v} | REQUIRED
    for settings in (relay.settings, worker.settings, emulator.settings):
        assert settings.Settings.from_env(environment) == settings.Settings.from_env(REQUIRED)


@pytest.mark.parametrize(
    "wrong",
    [
        {"SUPABASE_URL": ""},
        {"SUPABASE_URL": "https://abc.supabase.co/rest/v1"},
        {"SUPABASE_SECRET_KEY": "sb_publishable_x"},
    ],
)
def test_relay_and_worker_refuse_a_wrong_project_in_the_same_words(wrong: dict[str, str]) -> None:
    said = []
    for settings, error in (
        (relay.settings.Settings, relay.errors.SettingsError),
        (worker.settings.Settings, worker.settings.SettingsError),
    ):
        with pytest.raises(error) as refused:
            settings.from_env(REQUIRED | wrong)
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_relay_and_worker_ask_for_migrations_in_the_same_words() -> None:
    assert relay.upstream.rest.NO_SCHEMA == worker.database.NO_SCHEMA
    assert "supabase db push" in worker.database.NO_SCHEMA


def test_the_relays_help_lists_every_variable_that_it_reads() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relay", "--help"], cwd=PROJECT, capture_output=True, text=True
    )
    for variable in relay.settings.VARIABLES:
        assert f"  {variable.name} " in done.stdout


@pytest.mark.parametrize("path", ["supabase", "tests", "bench", ".ci"])
def test_folders_that_are_no_packages_hold_no_package_marker(path: str) -> None:
    """`supabase/__init__.py` would hide the package of that name."""
    assert not (PROJECT / path / "__init__.py").exists()


def test_the_distribution_names_every_package() -> None:
    """Automatic discovery refuses this layout; only who installs misses a forgotten one."""
    listed = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {
        ".".join(marker.parent.relative_to(PROJECT).parts)
        for top in ("demo", "emulator", "relay", "worker")
        for marker in (PROJECT / top).rglob("__init__.py")
    }
    assert set(listed["packages"]) - set(listed["package-dir"]) == found


def make_with_stubs(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`make` in a copy of what it needs; its Python makes environments, installs while the file
    `network` is there, and tells what else it is asked to run. It inherits PATH alone: a `make`
    that runs these tests would hand down its flags, and the inner one says that it is one."""
    if not (directory / "Makefile").exists():
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(PROJECT / name, directory)
    python = directory / "python"
    python.write_text(
        "#!/bin/sh\n"
        'case "$2" in\n'
        'venv) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;\n'
        'pip) echo "pip $*"; test -e network ;;\n'
        'demo) echo "running $*" ;;\n'
        "esac\n"
    )
    python.chmod(0o755)
    command = ["make", f"PYTHON={python}", "UV=", *arguments]
    return subprocess.run(
        command,
        cwd=directory,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_installation_that_failed_is_done_again(tmp_path: Path) -> None:
    assert make_with_stubs(tmp_path, ".venv").returncode != 0
    (tmp_path / "network").touch()
    again = make_with_stubs(tmp_path, ".venv")
    assert (again.returncode, "--editable .[dev]" in again.stdout) == (0, True)
    assert "pip" not in make_with_stubs(tmp_path, ".venv").stdout


def test_the_demo_installs_what_it_needs_says_so_and_passes_its_arguments_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAKELEVEL", "1")  # as under `make test`
    monkeypatch.setenv("MAKEFLAGS", "w -- ARGS=of-the-outer-one")
    (tmp_path / "network").touch()
    first = make_with_stubs(tmp_path, "demo", "ARGS=--auth --rate 2")
    assert first.returncode == 0, first.stderr
    assert "--editable .[demo]" in first.stdout
    assert "dev" not in first.stdout
    assert "1/2" in first.stdout
    assert "2/2" in first.stdout
    assert "running -m demo --auth --rate 2" in first.stdout
    second = make_with_stubs(tmp_path, "demo")
    assert second.stdout == "running -m demo\n"
    # Whoever has all the tools has what the demo needs.
    assert make_with_stubs(tmp_path, ".venv").returncode == 0
    (tmp_path / ".venv" / ".demo").unlink()
    assert make_with_stubs(tmp_path, "demo").stdout == "running -m demo\n"
