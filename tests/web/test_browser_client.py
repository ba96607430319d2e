"""The browser client's own tests, and what it shares with the relay."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from relay.close_codes import CloseCode
from tests.node import install
from tests.node import node as installed_node

HERE = Path(__file__).parent
CLIENT = HERE.parents[1] / "clients" / "js"
NODE = shutil.which("node")

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")


@needs_node
def test_node_runs_the_browser_clients_tests() -> None:
    modules = sorted([*HERE.glob("*.test.mjs"), *CLIENT.glob("test/*.test.mjs")])
    run = node("--import", (HERE / "served.mjs").as_uri(), "--test", *map(str, modules))
    assert run.returncode == 0, run.stdout + run.stderr


@needs_node
def test_close_codes_are_those_of_the_relay_and_mean_the_same() -> None:
    script = f"""
      import {{ CloseCode, comeBack }} from "{(CLIENT / "src" / "close.js").as_uri()}";
      const codes = Object.entries(CloseCode).map(([name, code]) => [name, code, comeBack(code)]);
      console.log(JSON.stringify(codes));
    """
    run = node("--input-type=module", "--eval", script)
    assert json.loads(run.stdout) == [[code.name, code.value, code.come_back] for code in CloseCode]


def node(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert NODE is not None
    return subprocess.run([NODE, *arguments], capture_output=True, text=True, timeout=60)


@needs_node
def test_the_package_ships_its_sources_and_nothing_else() -> None:
    described = json.loads((CLIENT / "package.json").read_text())
    assert described["files"] == ["src"]
    assert "dependencies" not in described
    exported = {path for entry in described["exports"].values() for path in entry.values()}
    assert all((CLIENT / path).is_file() for path in exported)
    (tarball,) = json.loads(pack("--dry-run", "--json"))
    sources = {f"src/{path.name}" for path in (CLIENT / "src").iterdir()}
    listed = {entry["path"] for entry in tarball["files"]}
    assert listed == sources | {"LICENSE", "README.md", "package.json"}


def pack(*options: str) -> str:
    """What `npm pack` prints."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    run = subprocess.run(
        [npm, "pack", *options], cwd=CLIENT, capture_output=True, text=True, timeout=60, check=True
    )
    return run.stdout


def test_the_core_is_at_most_six_kilobytes_compressed() -> None:
    program = installed_node()
    install(CLIENT)
    run = subprocess.run(
        [program, "size.mjs"], cwd=CLIENT, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    sizes = dict(line.split() for line in run.stdout.splitlines())
    assert int(sizes["client"]) <= 6_000


def test_other_builds_find_the_types_of_every_part(tmp_path: Path) -> None:
    """By attw, which resolves the package as Node's and the bundlers' rules say."""
    program = installed_node()
    install(CLIENT)
    pack("--pack-destination", str(tmp_path))
    (tarball,) = tmp_path.glob("*.tgz")
    attw = "node_modules/@arethetypeswrong/cli/dist/index.js"
    run = subprocess.run(
        [program, attw, str(tarball), "--profile", "esm-only"],
        cwd=CLIENT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_types_of_every_use_are_right_and_those_of_the_protocol_are_up_to_date(
    tmp_path: Path,
) -> None:
    program = installed_node()
    install(CLIENT)
    for tool, *arguments in (
        ("typescript/bin/tsc", "--project", "test"),
        ("publint/src/cli.js", "--strict", "--pack", "npm"),
        (
            "json-schema-to-typescript/dist/src/cli.js",
            "--no-additionalProperties",
            "--bannerComment",
            "// Made from relay/protocol.schema.json by `npm run types`.",
            "--input",
            "../../relay/protocol.schema.json",
            "--output",
            str(tmp_path / "protocol.d.ts"),
        ),
    ):
        command = [program, f"node_modules/{tool}", *arguments]
        run = subprocess.run(command, cwd=CLIENT, capture_output=True, text=True, timeout=110)
        assert run.returncode == 0, run.stdout + run.stderr
    made = (tmp_path / "protocol.d.ts").read_text()
    assert made == (CLIENT / "src" / "protocol.d.ts").read_text()
