"""The lock names what the project asks for, by its hash and without saying where from."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[1]
LOCK = (PROJECT / "requirements.lock").read_text()
PINNED = re.compile(
    r"^([A-Za-z0-9._-]+)==(\S+)[^\n]*((?:\n +--hash=sha256:[0-9a-f]{64}[^\n]*)+)", re.M
)


def pinned() -> dict[str, str]:
    return {canonicalize_name(name): version for name, version, _ in PINNED.findall(LOCK)}


def asked_for() -> Iterator[Requirement]:
    """What the project needs to run and to be tested."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lists: Iterable[list[str]] = (project["dependencies"], extras["emulator"], extras["dev"])
    for each in (Requirement(text) for texts in lists for text in texts):
        if each.name != project["name"]:
            yield each


def test_every_requirement_is_pinned_to_a_version_that_it_allows() -> None:
    versions = pinned()
    for each in asked_for():
        assert each.specifier.contains(versions[canonicalize_name(each.name)]), each


def test_every_package_has_hashes() -> None:
    begun = re.findall(r"^[A-Za-z0-9._-]+==", LOCK, re.M)
    assert len(begun) == len(pinned()) > 50


def test_it_does_not_say_where_from() -> None:
    assert "://" not in LOCK
    assert not re.search(r"^--?(i|f|index|extra|find|trusted)", LOCK, re.M)
