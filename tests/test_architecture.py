"""docs/architecture.md names what there is."""

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
TEXT = (PROJECT / "docs" / "architecture.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)` `([\w.]+)`", TEXT)))
FILES = sorted(set(re.findall(r"`((?:relay|worker|tests)/[\w/]+\.py)`", TEXT)))


def names_of(tree: ast.Module | ast.ClassDef) -> dict[str, ast.stmt]:
    """What is defined directly in a module or class."""
    found: dict[str, ast.stmt] = {}
    for node in tree.body:
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                found[node.name] = node
            case ast.AnnAssign(target=ast.Name(id=name)):
                found[name] = node
            case ast.Assign(targets=[ast.Name(id=name)]):
                found[name] = node
    return found


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_hop_is_in_the_code(file: str, name: str) -> None:
    tree: ast.stmt | ast.Module = ast.parse((PROJECT / file).read_text())
    for part in name.split("."):
        assert isinstance(tree, ast.Module | ast.ClassDef)
        assert part in names_of(tree)
        tree = names_of(tree)[part]


@pytest.mark.parametrize("file", FILES)
def test_every_file_is_there(file: str) -> None:
    assert (PROJECT / file).is_file()


def test_it_follows_a_row_a_cursor_and_an_event() -> None:
    assert len(NAMED) > 40


@pytest.mark.parametrize(
    "package", ["connections", "resume", "upstream", "access", "stream", "api"]
)
def test_it_names_every_package_of_the_relay(package: str) -> None:
    assert f"`{package}/`" in TEXT
