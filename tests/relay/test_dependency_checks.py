"""What the relay relies on inside other packages: these fail when a package changes."""

import ast
import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from realtime._async import client as realtime_client
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import Protocol

from relay import dependency_checks
from relay.dependency_checks import CLIENT, CONNECTIONS, SERVER, DependencyCheck

PROJECT = Path(__file__).parents[2]
EVERY = (*CONNECTIONS, SERVER, CLIENT)


@pytest.mark.parametrize("each", EVERY, ids=lambda each: f"{each.package}: {each.on}")
def test_what_is_installed_is_as_expected(each: DependencyCheck) -> None:
    assert each.trouble() is None


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, None], ids=["asyncio", "uvloop"])
def test_either_event_loop_does(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if factory is not None:
        monkeypatch.setattr(uvicorn.Config, "get_loop_factory", lambda self: factory)
    assert CONNECTIONS[3].trouble() is None


def _without(thing: Any, name: str) -> Any:
    return lambda patch: patch.delattr(thing, name)


def _never_paused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dependency_checks._Listening, "pause_writing", lambda self: None)


@pytest.mark.parametrize(
    ("each", "change", "found"),
    [
        (CONNECTIONS[1], _without(HttpToolsProtocol, "on_body"), "there is no on_body"),
        (CONNECTIONS[2], _without(Protocol, "recv_frame"), "recv_frame"),
        (CONNECTIONS[3], _never_paused, "not paused at the first byte"),
        (SERVER, _without(uvicorn.Server, "shutdown"), "there is no shutdown"),
        (CLIENT, _without(realtime_client, "connect"), "there is no connect"),
    ],
    ids=["steps of HTTP", "parser", "transports", "server", "client"],
)
def test_what_is_not_as_expected_is_told_with_the_remedy(
    each: DependencyCheck, change: Any, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        change(patch)
        trouble = each.trouble()
    assert trouble is not None
    assert found in trouble
    assert each.without in trouble
    assert f"pip install '{each.package}=={each.known}'" in trouble


@pytest.mark.parametrize("each", EVERY, ids=lambda each: f"{each.package}: {each.on}")
def test_the_version_that_was_read_is_the_locked_one(each: DependencyCheck) -> None:
    lock = (PROJECT / "requirements.lock").read_text()
    assert re.search(rf"^{each.package}=={re.escape(each.known)}\b", lock, re.MULTILINE)


def test_uvicorn_has_the_parts_by_which_the_emulator_cuts_connections() -> None:
    assert callable(WebSocketsSansIOProtocol.handle_connect)
    assert {"transport", "disconnected", "handshake_complete"} <= set(
        WebSocketsSansIOProtocol.__init__.__code__.co_names
    )


def _foreign(tree: ast.AST) -> Iterator[str]:
    """Private attributes of objects that are not the module's own: `x._y` where x is not self."""
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    owned = {node.attr for node in attributes if _is_own(node)}
    for node in attributes:
        if re.match(r"_[a-z]", node.attr) and not _is_own(node) and node.attr not in owned:
            yield node.attr


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def test_private_parts_of_other_packages_are_used_where_they_are_watched_alone() -> None:
    documented = {"_asdict", "_fields", "_replace", "_value_"}
    found = {
        (str(path.relative_to(PROJECT)), name)
        for package in ("relay", "worker")
        for path in (PROJECT / package).rglob("*.py")
        for name in _foreign(ast.parse(path.read_text()))
        if name not in documented
    }
    assert {path for path, _ in found} <= {"relay/upstream/realtime_client.py"}, found
