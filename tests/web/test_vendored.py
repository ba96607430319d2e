"""The page's libraries are what their packages ship, under known licences, and no more."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from tests.node import install, node

VENDOR = Path(__file__).parents[2] / "relay" / "web" / "vendor"
MADE = ("*.js", "*.css", "LICENSES.txt")


def test_the_libraries_are_those_that_the_lock_names(tmp_path: Path) -> None:
    program = node()
    for name in ("package.json", "package-lock.json", "vendor.mjs", ".npmrc"):
        shutil.copy(VENDOR / name, tmp_path)
    install(tmp_path)
    subprocess.run([program, "vendor.mjs"], cwd=tmp_path, check=True, timeout=60)
    made = {path.name: path.read_bytes() for kind in MADE for path in tmp_path.glob(kind)}
    kept = {path.name: path.read_bytes() for kind in MADE for path in VENDOR.glob(kind)}
    assert made.keys() == kept.keys()
    assert [name for name in made if made[name] != kept[name]] == []


def test_each_library_has_its_licence_and_imports_nothing_from_elsewhere() -> None:
    wanted = json.loads((VENDOR / "package.json").read_text())["devDependencies"]
    licences = (VENDOR / "LICENSES.txt").read_text()
    assert {f"{name} {version} (" for name, version in wanted.items()} == set(
        re.findall(r"^\S+ [0-9.]+ \(", licences, re.MULTILINE)
    )
    for path in VENDOR.glob("*.js"):
        imported = re.findall(r'(?:from|import)\s*"([^"\n]+)"', path.read_text())
        assert all((VENDOR / name).is_file() for name in imported), path.name
