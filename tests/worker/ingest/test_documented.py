"""docs/your-events.md is right: its columns, its units, its times and its samples."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.worker.ingest.reading import times
from worker import vehicles
from worker.command_line import main
from worker.events import CHOICES
from worker.ingest.header import COLUMNS
from worker.ingest.units import units_of

PROJECT = Path(__file__).parents[3]
PAGE = (PROJECT / "docs/your-events.md").read_text()


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def words(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def test_the_page_has_each_column_and_no_other() -> None:
    rows = [line.split("|") for line in section("Columns").splitlines() if line.startswith("| `")]
    assert sorted(word for row in rows for word in words(row[1])) == sorted(COLUMNS)


def test_the_page_has_each_unit() -> None:
    (line,) = (line for line in section("Columns").splitlines() if line.startswith("Units for"))
    told = {unit for group in words(line) - {"--units"} for unit in group.split()}
    assert told == {unit for column in COLUMNS for unit in units_of(column)}


def test_the_page_has_each_vehicle_fuel_and_choice() -> None:
    told = words(section("Columns"))
    assert set(vehicles.VEHICLES.values()) <= told
    assert set(vehicles.FUELS.values()) <= told
    for choices in CHOICES.values():
        assert set(choices.values()) <= told


def test_the_times_of_the_page_are_understood() -> None:
    paragraph = PAGE.partition("**Times**")[2].partition("\n\n")[0]
    examples = [word for word in words(paragraph) if word[0].isdigit()]
    assert len(examples) == 6
    for example in examples:
        assert times().utc(example)


def commands() -> list[list[str]]:
    """The ingest commands of the page that name a sample."""
    joined = PAGE.replace("\\\n", " ")
    found = [line for line in joined.splitlines() if "worker ingest" in line and "samples" in line]
    return [shlex.split(line.partition("ingest")[2], comments=True) for line in found]


@pytest.mark.parametrize(
    "arguments",
    [*commands(), ["docs/samples/trips.csv"], ["docs/samples/sites.csv"]],
    ids=lambda arguments: arguments[-1],
)
def test_the_samples_are_read_without_a_word(
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(PROJECT)
    assert main(["ingest", "--dry-run", *arguments]) == 0
    out, err = capsys.readouterr()
    assert "refused=0 quarantined=0" in out
    assert "nothing usable" not in out
    assert "ignored" not in out + err
    assert "after" not in out  # each has enough events to be judged
