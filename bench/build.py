"""Builds the two C programs, where their sources are newer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE / ".build"
WSLOAD = FOLDER / "wsload"
FLOOR = FOLDER / "fanout_floor"


class NoCompiler(Exception):
    """There is no C compiler; the text says what to install."""


def compiler() -> str:
    """The C compiler.

    Raises:
        NoCompiler: There is none.
    """
    found = shutil.which("gcc") or shutil.which("cc")
    if found is None:
        raise NoCompiler("a C compiler is needed: apt-get install gcc libc6-dev")
    return found


def programs() -> None:
    """Make sure that both programs are there and as new as their sources.

    Raises:
        NoCompiler: There is no compiler.
        subprocess.CalledProcessError: it refuses the source.
    """
    FOLDER.mkdir(exist_ok=True)
    _compile(HERE / "wsload.c", WSLOAD)
    try:
        _compile(HERE / "fanout_floor.c", FLOOR, "-luring")
    except subprocess.CalledProcessError:  # liburing-dev is not installed
        _compile(HERE / "fanout_floor.c", FLOOR, "-DNO_URING")


def _compile(source: Path, program: Path, *options: str) -> None:
    if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
        return
    command = [compiler(), "-O2", "-Wall", "-Wextra", "-o", str(program), str(source), *options]
    subprocess.run(command, check=True, capture_output=True, text=True)
