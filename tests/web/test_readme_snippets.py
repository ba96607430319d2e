"""What the README shows of JavaScript is right, by TypeScript's strictest measure."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.node import JAVASCRIPT, install, node

PROJECT = Path(__file__).parents[2]
SNIPPET = re.compile(r"^```(?:js|ts)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CLIENT = "clients/js/src/client"
# What surrounds a snippet in somebody's project.
AROUND = """
type Session = { access_token: string } | null; // as in supabase-js, whose own types need Node's
declare const token: string;
declare const supabase: { auth: { getSession(): Promise<{ data: { session: Session } }> } };
"""


@pytest.mark.parametrize(("readme", "least"), [("README.md", 4), ("clients/js/README.md", 1)])
def test_the_snippets_of_the_readme_pass_tsc_strict(
    tmp_path: Path, readme: str, least: int
) -> None:
    program = node()
    install(JAVASCRIPT)
    (tmp_path / "node_modules").symlink_to(JAVASCRIPT / "node_modules")
    snippets = SNIPPET.findall((PROJECT / readme).read_text())
    assert len(snippets) >= least
    for number, snippet in enumerate(snippets):
        imports = "RelayClient" in snippet and "import { RelayClient" not in snippet
        needed = 'import { RelayClient } from "/web/client.js";\n' if imports else ""
        (tmp_path / f"snippet{number}.ts").write_text(AROUND + needed + snippet + "export {};\n")
    client = str(PROJECT / CLIENT)
    names = [f"{origin}/web/client.js" for origin in ("", "https://relay.example.org")]
    names.append("hotspot-relay-client")
    options = {
        "strict": True,
        "noEmit": True,
        "noUnusedLocals": False,
        "module": "esnext",
        "moduleResolution": "bundler",
        "target": "es2022",
        "lib": ["es2022", "dom"],
        "types": [],
        "skipLibCheck": False,
        "paths": {name: [client] for name in names},
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
