"""The wheel and the sdist, built from a copy of the project's files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
PACKAGES = ("clients/js/src", "demo", "emulator", "relay", "supabase", "worker")
FILES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")


def source(directory: Path) -> Path:
    """A copy of what a distribution is made from: building writes beside its sources."""
    copy = directory / "source"
    copy.mkdir()
    for name in FILES:
        shutil.copy(PROJECT / name, copy)
    for name in PACKAGES:
        shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def wheel(source: Path, directory: Path) -> Path:
    """The wheel of a source tree or an sdist; the build backend comes from the package index."""
    pip("wheel", "--no-deps", "--wheel-dir", str(directory), str(source))
    (found,) = directory.glob("*.whl")
    return found


def sdist(source: Path, python: str) -> Path:
    """The sdist of a source tree, by a Python that has the build backend."""
    code = "from setuptools import build_meta; print(build_meta.build_sdist('dist'))"
    command = [python, "-c", code]
    made = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return source / "dist" / made.stdout.splitlines()[-1]


def pip(*arguments: str, python: str = sys.executable) -> None:
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
