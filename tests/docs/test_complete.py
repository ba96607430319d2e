"""What the code has is documented, and what is documented the code has."""

from __future__ import annotations

import argparse
import ast
import asyncio
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from starlette.routing import Route

import relay.__main__
import worker.command_line
from emulator.database import Database
from relay.app import create_app
from relay.close_codes import CloseCode
from relay.metrics import RESETS
from relay.settings import GROUPS, Settings
from relay.stream.change import ENDPOINTS
from relay.upstream.state import UpstreamState
from relay.variables import Group
from tests.docs.pages import DOCS, PAGES, PROJECT, prose, rows, section, words
from tests.settings import REQUIRED, defaults

OPERATE, PROTOCOL, HTTP = DOCS / "operate.md", DOCS / "protocol.md", DOCS / "http.md"
# Read by programs of others, or by one command alone.
OF_THE_COMMAND_LINE = {"RELAY_TOKEN", "SSL_CERT_FILE"}


# --- settings


def documented_settings() -> dict[str, str]:
    """The default of each variable on the page, as it is written; "" for none."""
    found: dict[str, str] = {}
    for name, _, default in rows(prose(DOCS / "settings.md")):
        (variable,) = words(name)
        assert variable not in found
        found[variable] = "" if default == "none" else default
    return found


def test_the_page_has_each_setting_with_its_default_and_no_other() -> None:
    expected = {name: "required" if text is None else text for name, text in defaults().items()}
    expected |= dict.fromkeys(["SUPABASE_SECRET_KEY"], "required")  # of the worker in any case
    assert documented_settings() == expected | dict.fromkeys(OF_THE_COMMAND_LINE, "")


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.title)
def test_the_page_groups_the_relays_settings_as_the_code_does(group: type[Group]) -> None:
    title = f"Relay: {group.title[0].lower()}{group.title[1:]}"
    table = section(DOCS / "settings.md", title if group is not GROUPS[0] else group.title)
    assert [words(row[0])[0] for row in rows(table)] == [
        variable.name for variable in group.variables().values()
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_a_page_names_no_setting_that_there_is_not(page: Path) -> None:
    text = page.read_text()
    named = set(re.findall(r"\b(?:RELAY|WORKER|EMULATOR|SUPABASE|GRID|FACTORS)_[A-Z_]+\b", text))
    ours = {*defaults(), *OF_THE_COMMAND_LINE}
    tests_alone = {"SUPABASE_TEST_URL", "SUPABASE_TEST_SECRET_KEY", "SUPABASE_TEST_PUBLISHABLE_KEY"}
    # A group is named by its beginning, as in RELAY_MAX_...
    groups = {name for name in named if name.endswith("_")}
    for group in groups:
        assert any(name.startswith(group) for name in ours), group
    assert named - groups <= ours | tests_alone


# --- the protocol


@pytest.mark.parametrize("page", [PROTOCOL, OPERATE], ids=lambda page: page.name)
def test_the_pages_have_each_close_code_and_no_other(page: Path) -> None:
    title = "Close codes" if page == PROTOCOL else "Close codes that clients report"
    told = {int(row[0]): row[1:] for row in rows(section(page, title))}
    assert told.keys() == {code.value for code in CloseCode}
    if page == PROTOCOL:
        for code in CloseCode:
            assert ("come back" in told[code][1]) == code.come_back


def test_the_page_has_each_reason_to_start_anew_and_each_state_of_the_sources() -> None:
    assert {words(row[0])[0] for row in rows(section(PROTOCOL, "Cursors"))} == set(RESETS)
    states = {words(row[0])[0] for row in rows(section(PROTOCOL, "A connection"))}
    assert states == set(UpstreamState)


def test_the_page_has_each_query_parameter_with_its_values() -> None:
    told: dict[str, dict[str, set[str]]] = {}
    for name, endpoints, meaning in rows(section(PROTOCOL, "Query parameters")):
        for endpoint in endpoints.split(", "):
            told.setdefault(endpoint, {})[words(name)[0]] = set(words(meaning))
    assert told.pop("all").keys() == {"last", "cursor", "token"}
    told.pop("`relay.v1`")
    assert told.keys() == {endpoint.name for endpoint in ENDPOINTS}
    for each in ENDPOINTS:
        assert told[each.name].keys() == each.filters.keys()
        for filter, column in each.filters.items():
            assert column.values is None or told[each.name][filter] == column.values


# --- HTTP


def application() -> FastAPI:
    return create_app(Settings.from_env(REQUIRED), on_failure=lambda _: None)


def routes_of(routes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Method and path of each HTTP route, those of included routers as well."""
    for route in routes:
        if (included := getattr(route, "original_router", None)) is not None:
            yield from routes_of(included.routes)
        elif isinstance(route, Route) and route.path != "/ws/{name}":  # says what to do instead
            for method in route.methods or ():
                yield method, route.path


def test_the_page_has_each_route_and_no_other() -> None:
    there = set(routes_of(application().routes))
    there.add(("GET", "/web/client.js"))  # a file of those below /web/
    told = re.findall(r"`([A-Z]+) (/[^`]*)`", " ".join(row[0] for row in rows(prose(HTTP))))
    assert len(told) == len(set(told))
    assert set(told) == {route for route in there if route[0] not in ("HEAD", "OPTIONS")}
    sentence = re.search(r"`HEAD` is answered on (.+?), and `OPTIONS`", prose(HTTP))
    assert sentence is not None
    assert set(words(sentence[1])) == {path for method, path in there if method == "HEAD"}


async def test_the_routes_outside_of_the_description_answer() -> None:
    transport = httpx.ASGITransport(app=application())
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8003") as client:
        for path in ("/", "/web/config.json", "/web/client.js", "/openapi.json"):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/hotspots/scan")).status_code == 401
        for path in ("/", "/healthz", "/readyz", "/metrics"):
            assert (await client.head(path)).status_code in (200, 503)


def test_the_page_has_each_status_of_a_refusal() -> None:
    paths = application().openapi()["paths"]
    described = {
        status
        for by in paths.values()
        for route in by.values()
        for status in route["responses"]
        if status >= "400"
    }
    told = {status for row in rows(section(HTTP, "Refusals")) for status in row[0].split(", ")}
    assert told == described


# --- metrics


async def metric_names() -> set[str]:
    """Of a relay that runs without a project, and those that wait for an answer of one."""
    transport = httpx.ASGITransport(app=application())
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8003") as client:
        text = (await client.get("/metrics")).text
    found = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    source = (PROJECT / "relay/metrics.py").read_text()
    found.add("relay_catch_up_lag_seconds")
    assert '"relay_catch_up_lag_seconds"' in source
    worker = re.findall(r'^ {12}\("(\w+)", "', source, re.MULTILINE)
    assert len(worker) == 4
    return found | {f"relay_worker_{name}" for name in worker}


def test_the_page_has_each_metric_and_no_other() -> None:
    told = {words(row[0])[0] for row in rows(section(OPERATE, "Metrics"))}
    assert told == asyncio.run(metric_names())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_a_page_names_no_metric_that_there_is_not(page: Path) -> None:
    named = set(re.findall(r"\brelay_[a-z_]+(?:_total|_seconds|_bytes|_state)\b", page.read_text()))
    assert named <= {words(row[0])[0] for row in rows(section(OPERATE, "Metrics"))}


# --- what the programs say


def template(node: ast.expr) -> str | None:
    """A text of the code with `…` where something is put in; None when it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"(%(\.\d+)?[sdfgr])+", "…", node.value)
    if isinstance(node, ast.JoinedStr):
        parts = [template(each) if isinstance(each, ast.Constant) else "…" for each in node.values]
        return "".join(part or "" for part in parts)
    return None


def trees(package: str) -> Iterator[ast.Module]:
    for file in sorted((PROJECT / package).rglob("*.py")):
        yield ast.parse(file.read_text())


def complaints(package: str) -> set[str]:
    """The texts that the loggers of a package are given from warnings on."""
    found: set[str] = set()
    for tree in trees(package):
        for node in ast.walk(tree):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Name(id="logger"), attr="warning" | "error" | "critical"
                    ),
                    args=[first, *_],
                ):
                    text = template(first)
                    assert text is not None, ast.unparse(node)
                    found.add(text)
    return found - {"…"}  # the text of a trouble, which is said elsewhere too


@pytest.mark.parametrize("package", ["relay", "worker"])
def test_the_page_has_each_warning_and_no_other(package: str) -> None:
    told = {words(row[0])[0] for row in rows(section(OPERATE, f"Log lines of the {package}"))}
    assert told == complaints(package)


def function(package: str, name: str) -> ast.AST:
    (found,) = (
        node
        for tree in trees(package)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == name
    )
    return found


def texts_of(node: ast.AST) -> set[str]:
    """The sentences among the texts of a function, without its docstring."""
    inside = {
        part for each in ast.walk(node) if isinstance(each, ast.JoinedStr) for part in each.values
    }
    body = node.body if isinstance(node, ast.FunctionDef) else []
    skipped = {body[0].value} if body and isinstance(body[0], ast.Expr) else set()
    found = (
        template(each)
        for each in ast.walk(node)
        if isinstance(each, ast.expr) and each not in inside and each not in skipped
    )
    return {text for text in found if text is not None and " " in text}


def without_access() -> str:
    """What a relay says that has not read yet who may see what."""
    (found,) = (
        text
        for tree in trees("relay/access")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "trouble"
        for text in texts_of(node)
    )
    return found


def test_the_page_has_each_reason_of_readyz_and_no_other() -> None:
    told = {each for row in rows(section(OPERATE, "readyz reasons")) for each in words(row[0])}
    said = texts_of(function("relay", "troubles")) - {"nothing has come through it for a while"}
    said |= texts_of(function("relay", "key_trouble"))
    said.add(without_access())
    assert told == said


def test_the_page_has_each_kind_of_notice_and_no_other(database: Database) -> None:
    told = {words(row[0])[0] for row in rows(section(OPERATE, "Notices"))}
    with psycopg.connect(database.dsn("postgres")) as connection:
        found = connection.execute(
            "select pg_get_constraintdef(oid) from pg_constraint where conrelid ="
            " 'public.notices'::regclass and pg_get_constraintdef(oid) like '%kind%'"
        ).fetchall()
    assert told == set(re.findall(r"'(\w+)'", found[0][0]))


def test_the_words_of_the_page_are_those_of_its_code() -> None:
    source = (PROJECT / "relay/web/format.js").read_text()
    told = [
        text
        for row in rows(section(DOCS / "page.md", "When the page says that something is wrong"))
        for text in words(row[0])
    ]
    assert len(told) > 5
    for text in told:
        begin, filled, _ = text.partition("…")
        end = r"\$\{" if filled else '"'
        assert re.search(rf'["`]{re.escape(begin)}{end}', source), text


# --- commands


def commands(parser: argparse.ArgumentParser) -> set[str]:
    (choices,) = (
        action.choices
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return set(choices)


@pytest.mark.parametrize(
    ("program", "parser"),
    [
        ("hotspot-relay", relay.__main__._parser({})),
        ("hotspot-worker", worker.command_line._parser()),
    ],
    ids=["relay", "worker"],
)
def test_the_page_has_each_command_and_no_other(
    program: str, parser: argparse.ArgumentParser
) -> None:
    told = [words(row[0])[0].split() for row in rows(section(DOCS / "commands.md", program))]
    assert {line[0] for line in told} == {program}
    assert {line[1] for line in told if len(line) > 1} == commands(parser)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_a_page_names_no_command_that_there_is_not(page: Path) -> None:
    known = {
        "relay": commands(relay.__main__._parser({})),
        "worker": commands(worker.command_line._parser()),
    }
    pattern = r"(?:hotspot-|python -m )(relay|worker) ([a-z]+)\b(?!-)"
    for program, command in re.findall(pattern, page.read_text()):
        assert command in known[program], (program, command)
