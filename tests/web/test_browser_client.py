"""The browser client's own tests, and what it shares with the relay."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from relay.close import CloseCode

HERE = Path(__file__).parent
CLIENT = HERE.parents[1] / "clients" / "js"
NODE = shutil.which("node")

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")


@needs_node
def test_node_runs_the_browser_clients_tests() -> None:
    modules = sorted([*HERE.glob("*.test.mjs"), *CLIENT.glob("test/*.test.mjs")])
    run = node("--test", *map(str, modules))
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
