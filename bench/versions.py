"""Which versions were compared."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import subprocess

from bench import install
from bench.processes import ROOT

PACKAGES = ("fastapi", "uvicorn", "uvloop", "httptools", "websockets", "realtime", "picows")


def commit() -> str:
    """The commit that is checked out, with a mark when files differ from it."""
    found = _output("git", "describe", "--always", "--dirty", "--exclude", "*")
    return found or "not a git checkout"


def installed() -> dict[str, str]:
    """Packages and peers by name."""
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    lock = json.loads((install.JAVASCRIPT / "package-lock.json").read_text())
    found |= lock["packages"][""]["dependencies"]
    found["node"] = _output("node", "--version").removeprefix("v")
    found |= install.debian_versions()
    return {name: version for name, version in sorted(found.items()) if version}


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
