"""What the tests of the benchmark need."""

from __future__ import annotations

import fcntl

import pytest

from bench import build


@pytest.fixture(scope="session")
def programs() -> None:
    """The C programs, built once for all test workers."""
    try:
        build.compiler()
    except build.NoCompiler as exc:
        pytest.skip(str(exc))
    build.FOLDER.mkdir(exist_ok=True)
    with (build.FOLDER / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        build.programs()
