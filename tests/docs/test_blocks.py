"""Every block of code of the README and the pages is run, or says why not.

By their language: `sh` in a shell beside a demo with the samples in it, `python` and `js` against
the same; `tsx` is compiled (test_javascript.py), `json` held to the schema (test_protocol.py),
`sql` run in the database. Configuration is read by the program that it is for, or, where that
cannot run here, parsed; nginx and Caddy are in tests/relay/access/test_tls.py.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import psycopg
import pytest
import yaml

from emulator.database import Database
from tests.docs.conftest import Workspace
from tests.docs.pages import DOCS, PAGES, PROJECT, Block, all_blocks, blocks, rows, section, words
from tests.docs.test_complete import application, routes_of
from tests.node import JAVASCRIPT, install, node
from worker.kilograms.factors import load

RUN = {"sh", "python", "js", "tsx", "json", "sql", "ini", "yaml", "nginx", "caddy", "csv", "http"}
DRAWN = {"text"}  # pictures
PACKAGE = "hotspot-relay-client"
SECONDS = 100
# What a reader does by hand: the project's keys go into the file that was copied.
FILL_IN = """
curl() { command curl --silent --show-error --fail "$@"; }
fill_in() {
  if [ -f hotspot-relay.env ] && ! grep -q ^SUPABASE_SECRET_KEY=. hotspot-relay.env; then
    sed -i '/^SUPABASE_/d; /^PORT=/d' hotspot-relay.env
    cat .emulator/demo.env >> hotspot-relay.env
  fi
}
"""

pytestmark = pytest.mark.timeout(300)


def shell(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "sh" and block.not_run is None]


def with_shell() -> list[Path]:
    return [page for page in PAGES if shell(page)]


def shown(page: Path) -> list[str]:
    """The lines of what a page shows as the output of a command: a `text` right below it."""
    found = re.findall(r"^```sh\n.*?^```\n\n```text\n(.*?)^```", page.read_text(), re.DOTALL | re.M)
    return [line for text in found for line in text.splitlines() if line and line != "..."]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_block_is_of_a_kind_that_is_run_or_says_why_not(page: Path) -> None:
    for block in blocks(page):
        assert block.not_run or block.language in RUN | DRAWN, block
        assert block.not_run is None or len(block.not_run) > 10, block


@pytest.mark.parametrize("page", with_shell(), ids=lambda page: str(page.relative_to(PROJECT)))
def test_the_commands_of_a_page_succeed_one_after_the_other(
    page: Path, workspace: Workspace
) -> None:
    parts = [f"# {block}\n{workspace.here(block.text)}fill_in\n" for block in shell(page)]
    script = "set -euo pipefail\n" + FILL_IN + "\n".join(parts)
    done = subprocess.run(
        ["/bin/bash", "-x", "-c", script],
        cwd=workspace.directory,
        env=dict(workspace.environment),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(shown(page)) <= set(done.stdout.splitlines())


@pytest.mark.parametrize("block", all_blocks("python"), ids=str)
def test_the_python_of_a_page_runs(block: Block, workspace: Workspace) -> None:
    done = subprocess.run(
        [sys.executable, "-c", workspace.here(block.text)],
        cwd=workspace.directory,
        env=dict(workspace.environment),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# A block is run when it has ended, and, where it waits for rows, when it has shown the first.
AROUND_JS = """
import {{ createRequire }} from "node:module";
const require = createRequire("{packages}/");
const {{ createClient }} = require("@supabase/supabase-js");
const token = process.env.RELAY_TOKEN;
const supabase = createClient(process.env.SUPABASE_URL, process.env.SUPABASE_PUBLISHABLE_KEY, {{
  global: {{ headers: {{ Authorization: `Bearer ${{token}}` }} }},
  auth: {{ persistSession: false }},
  realtime: {{ transport: require("ws") }},
}});
supabase.realtime.setAuth(token);
supabase.auth.getSession = async () => ({{ data: {{ session: {{ access_token: token }} }} }});
const say = console.log;
console.log = (...of) => (say(...of), process.exit(0));
setTimeout(() => (say("nothing was shown"), process.exit(1)), {milliseconds}).unref();
"""


@pytest.mark.parametrize("block", all_blocks("js"), ids=str)
def test_the_javascript_of_a_page_runs(block: Block, workspace: Workspace, tmp_path: Path) -> None:
    program = node()
    install(JAVASCRIPT)
    source = PROJECT / "clients/js/src/client.js"
    text = block.text
    if "RelayClient" in text and not re.search(r"^import .*RelayClient", text, re.MULTILINE):
        text = f'import {{ RelayClient }} from "/web/client.js";\n{text}'
    for name in ("https://relay.example.org/web/client.js", "/web/client.js", PACKAGE):
        text = text.replace(f'from "{name}"', f'from "{source.as_uri()}"')
    of_the_page = f'new RelayClient({{ url: "{workspace.demo.relay}" }})'
    text = text.replace("new RelayClient()", of_the_page)
    waits = "console.log" in text and "data.rows" not in text
    end = "" if waits else "process.exit(0);\n"
    around = AROUND_JS.format(packages=JAVASCRIPT, milliseconds=1000 * (SECONDS - 10))
    (tmp_path / "block.mjs").write_text(around + workspace.here(text) + end)
    with subprocess.Popen(
        [program, "--experimental-websocket", "block.mjs"],
        cwd=tmp_path,
        env=dict(workspace.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        while running.poll() is None:
            workspace.change_a_hotspot()  # some wait for the next one
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(0.5)
        said = running.stdout.read() if running.stdout is not None else ""
    assert running.returncode == 0, said
    assert not waits or said, "it ended without a word"


@pytest.mark.parametrize("block", all_blocks("sql"), ids=str)
def test_the_sql_of_a_page_runs(block: Block, database: Database) -> None:
    with psycopg.connect(database.dsn("postgres")) as connection:
        connection.execute(block.text.encode())
        connection.rollback()


@pytest.mark.parametrize("block", all_blocks("ini"), ids=str)
def test_a_unit_starts_a_program_of_the_installation(block: Block, tmp_path: Path) -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block.text)
    assert unit.sections() == ["Unit", "Service", "Install"]
    program, *arguments = unit["Service"]["ExecStart"].split()
    scripts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
    assert Path(program).name in scripts
    if arguments:
        told = [words(row[0])[0] for row in rows(section(DOCS / "commands.md", "hotspot-worker"))]
        assert " ".join([Path(program).name, *arguments]) in told
    here = Path(sys.executable).with_name(Path(program).name)
    file = tmp_path / "hotspot.service"
    file.write_text(block.text.replace(program, str(here)).replace("User=hotspot", "User=root"))
    try:
        checked = subprocess.run(
            ["/usr/bin/systemd-analyze", "verify", str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return  # a machine without systemd, where it has been read above
    assert "hotspot.service" not in checked.stderr, checked.stderr


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=str)
def test_the_rules_watch_metrics_that_there_are(block: Block) -> None:
    rules = [rule for group in yaml.safe_load(block.text)["groups"] for rule in group["rules"]]
    told = {words(row[0])[0] for row in rows(section(DOCS / "operate.md", "Metrics"))}
    for rule in rules:
        assert rule.keys() <= {"alert", "expr", "for"}
        assert set(re.findall(r"\brelay_\w+", rule["expr"])) <= told


@pytest.mark.parametrize("block", all_blocks("csv"), ids=str)
def test_a_file_of_factors_is_read(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text(block.text)
    load((file,))


@pytest.mark.parametrize("block", all_blocks("http"), ids=str)
def test_the_requests_of_a_page_have_routes(block: Block) -> None:
    there = set(routes_of(application().routes))
    for line in block.text.splitlines():
        found = re.fullmatch(r"([A-Z]+) +(/\S+)(?: {2,}(\{.*?\})(?= {2,}|$))?.*", line)
        assert found is not None, line
        method, path, body = found.groups()
        assert (method, re.sub(r"/\d+", "/{id}", path)) in there, line
        assert body is None or json.loads(body)
