"""The project's texts agree with its code."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import emulator.settings
import relay.errors
import relay.settings
import relay.upstream.rest
import worker.database
import worker.settings
from relay.close import CloseCode

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text()
REQUIRED = {"SUPABASE_URL": "http://127.0.0.1:8010", "SUPABASE_SECRET_KEY": "sb_secret_x"}


class Recording(Mapping[str, str]):
    """An environment that remembers which variables were asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return REQUIRED[name]

    def __iter__(self) -> Iterator[str]:
        return iter(REQUIRED)

    def __len__(self) -> int:
        return len(REQUIRED)


def variables_of_the_code() -> set[str]:
    environment = Recording()
    emulator.settings.Settings.from_env(environment)
    listed = (*relay.settings.VARIABLES, *worker.settings.VARIABLES)
    return environment.asked | {variable.name for variable in listed}


def variables_of_the_example() -> dict[str, str]:
    pattern = re.compile(r"^#?([A-Z][A-Z_]+)=(.*)$", re.MULTILINE)
    return dict(pattern.findall((PROJECT / ".env.example").read_text()))


def test_env_example_names_exactly_what_the_settings_read() -> None:
    assert set(variables_of_the_example()) == variables_of_the_code()


def test_env_example_works_as_it_is_once_the_keys_are_filled_in() -> None:
    environment = {n: v for n, v in variables_of_the_example().items() if v} | REQUIRED
    for settings in (relay.settings, worker.settings, emulator.settings):
        assert settings.Settings.from_env(environment) == settings.Settings.from_env(REQUIRED)


def test_readme_explains_every_variable() -> None:
    explained = set(re.findall(r"`([A-Z][A-Z_]+)`", README))
    assert variables_of_the_code() <= explained


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


@pytest.mark.parametrize("code", list(CloseCode))
def test_readme_lists_every_close_code(code: CloseCode) -> None:
    row = re.search(rf"^\| {code.value} \|.*$", README, re.MULTILINE)
    assert row is not None
    assert ("come back" in row.group()) == code.come_back


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


def test_an_installation_that_failed_is_done_again(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(PROJECT / name, tmp_path)
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        'if [ "$1 $2" = "-m venv" ]; then mkdir -p .venv/bin && cp "$0" .venv/bin/python; fi\n'
        'if [ "$2" = pip ]; then echo installing; test -e network; fi\n'
    )
    python.chmod(0o755)

    def make() -> subprocess.CompletedProcess[str]:
        command = ["make", ".venv", f"PYTHON={python}"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert make().returncode != 0
    (tmp_path / "network").touch()
    again = make()
    assert (again.returncode, "installing" in again.stdout.splitlines()) == (0, True)
    assert "installing" not in make().stdout.splitlines()
