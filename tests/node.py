"""Node and the npm packages of a test folder."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
from pathlib import Path

import pytest

JAVASCRIPT = Path(__file__).parent / "js"
INSTALL_SECONDS = 240
UNREACHABLE = re.compile(r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH)\b")


def node() -> str:
    """The program; skips the test where there is none."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        pytest.skip("node and npm are not installed")
    return program


def install(directory: Path) -> None:
    """Install the packages that `directory` has locked, once for all runs and test workers; skips
    the test where npm cannot reach what it installs from."""
    lock = directory / "package-lock.json"
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = directory / "node_modules" / ".package-lock.json"
        if done.exists() and done.stat().st_mtime >= lock.stat().st_mtime:
            return
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"]
        try:
            result = subprocess.run(
                command, cwd=directory, capture_output=True, text=True, timeout=INSTALL_SECONDS
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not install within {INSTALL_SECONDS} s: unreachable?")
    if result.returncode != 0 and (found := UNREACHABLE.search(result.stderr)):
        pytest.skip(f"npm cannot be reached: {found[0]}")
    assert result.returncode == 0, result.stderr
