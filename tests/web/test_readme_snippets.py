"""What the README shows of JavaScript is right, by TypeScript's strictest measure."""

import json
import re
import subprocess
from pathlib import Path

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


def test_the_snippets_of_the_readme_pass_tsc_strict(tmp_path: Path) -> None:
    program = node()
    install(JAVASCRIPT)
    (tmp_path / "node_modules").symlink_to(JAVASCRIPT / "node_modules")
    snippets = SNIPPET.findall((PROJECT / "README.md").read_text())
    assert len(snippets) >= 4
    for number, snippet in enumerate(snippets):
        imports = "RelayClient" in snippet and "import { RelayClient" not in snippet
        needed = 'import { RelayClient } from "/web/client.js";\n' if imports else ""
        (tmp_path / f"snippet{number}.ts").write_text(AROUND + needed + snippet + "export {};\n")
    client = str(PROJECT / CLIENT)
    paths = [f"{origin}/web/client.js" for origin in ("", "https://relay.example.org")]
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
        "paths": {path: [client] for path in paths},
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
