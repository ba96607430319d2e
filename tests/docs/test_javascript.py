"""The pages' JavaScript and TypeScript is right, by TypeScript's strictest measure."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.docs.pages import PAGES, PROJECT, Block, blocks
from tests.node import JAVASCRIPT, install, node

CLIENT = PROJECT / "clients/js"
REACT = PROJECT / "examples/react"
# What surrounds a block in somebody's project.
AROUND = """
import type { SupabaseClient } from "@supabase/supabase-js";
declare const token: string;
declare const supabase: SupabaseClient;
"""
IMPORTED = re.compile(r"^import .*\bRelayClient\b", re.MULTILINE)
MADE_BEFORE = 'declare const client: import("hotspot-relay-client").RelayClient;\n'
CLASS = 'import { RelayClient } from "/web/client.js";\n'


def shown() -> list[Block]:
    pages = (*PAGES, CLIENT / "README.md")
    found = (block for page in pages for block in blocks(page))
    return [block for block in found if block.language in ("js", "ts", "tsx") and not block.not_run]


def module(block: Block) -> str:
    """The block as a module of its own."""
    imports = "RelayClient" in block.text and not IMPORTED.search(block.text)
    goes_on = "client." in block.text and "const client" not in block.text
    before = (CLASS if imports else "") + (MADE_BEFORE if goes_on else "")
    return AROUND + before + block.text + "export {};\n"


def test_the_blocks_of_all_pages_pass_tsc_strict(tmp_path: Path) -> None:
    program = node()
    install(JAVASCRIPT)
    install(REACT)
    (tmp_path / "node_modules").symlink_to(JAVASCRIPT / "node_modules")
    found = shown()
    assert len(found) > 12
    assert any(block.language == "tsx" for block in found)
    for number, block in enumerate(found):
        name = "-".join(block.page.relative_to(PROJECT).with_suffix("").parts)
        ending = "tsx" if block.language == "tsx" else "ts"
        (tmp_path / f"{name}-{block.line}-{number}.{ending}").write_text(module(block))
    names = [f"{origin}/web/client.js" for origin in ("", "https://relay.example.org")]
    paths = {name: [str(CLIENT / "src/client")] for name in (*names, "hotspot-relay-client")}
    paths["hotspot-relay-client/*"] = [str(CLIENT / "src/*")]
    types = REACT / "node_modules/@types/react"
    paths |= {"react": [str(types)], "react/*": [str(types / "*")]}
    options = {
        "strict": True,
        "noEmit": True,
        "noUnusedLocals": False,
        "module": "esnext",
        "moduleResolution": "bundler",
        "jsx": "react-jsx",
        "target": "es2022",
        "lib": ["es2022", "dom"],
        "types": [],
        "skipLibCheck": True,  # the types of supabase-js need those of Node
        "paths": paths,
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options}))
    checked = subprocess.run(
        [program, "node_modules/typescript/bin/tsc", "--project", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
