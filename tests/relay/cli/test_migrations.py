"""`relay migrations` writes the schema out."""

from pathlib import Path

import pytest

from relay.__main__ import main

MIGRATIONS = sorted((Path(__file__).parents[3] / "supabase" / "migrations").glob("*.sql"))


def test_all_migrations_are_written_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "supabase" / "migrations"
    assert main(["migrations", "--to", str(target)]) == 0
    written = sorted(target.iterdir())
    assert [file.name for file in written] == [file.name for file in MIGRATIONS]
    assert [file.read_text() for file in written] == [file.read_text() for file in MIGRATIONS]
    assert f"{len(MIGRATIONS)} of {len(MIGRATIONS)}" in capsys.readouterr().out
    assert main(["migrations", "--to", str(target)]) == 0
    assert f"0 of {len(MIGRATIONS)}" in capsys.readouterr().out


def test_a_file_that_somebody_changed_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / MIGRATIONS[0].name
    changed.write_text("-- mine")
    assert main(["migrations", "--to", str(tmp_path)]) == 1
    assert MIGRATIONS[0].name in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == [changed.name]
    assert changed.read_text() == "-- mine"


def test_where_nothing_can_be_written_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["migrations", "--to", str(tmp_path / "file" / "below")]) == 1
    assert "cannot be written" in capsys.readouterr().err
