"""The OpenAPI document against the relay that it describes, tried by schemathesis."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from importlib.metadata import version
from pathlib import Path

import httpx

from emulator.running import Emulator
from tests.relay.serving import relaying

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
SEED = 20261123
EXAMPLES = int(os.environ.get("FUZZ", "500")) // 100  # for each route


async def run(place: Path, *arguments: str) -> tuple[int, str]:
    command = Path(sys.executable).with_name("schemathesis")
    process = await asyncio.create_subprocess_exec(
        command, "run", *arguments, stdout=PIPE, stderr=STDOUT, cwd=place
    )
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


async def test_openapi_document_describes_every_answer(emulator: Emulator, tmp_path: Path) -> None:
    token = emulator.keys.mint("authenticated", subject="somebody")
    async with relaying(emulator) as host:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            document = (await client.get(f"http://{host}/openapi.json")).json()
        assert document["info"]["version"] == version("hotspot-relay")
        status, printed = await run(
            tmp_path,
            f"http://{host}/openapi.json",
            f"--header=Authorization: Bearer {token}",
            f"--checks={','.join(CHECKS)}",
            f"--max-examples={EXAMPLES}",
            f"--seed={SEED}",
            "--phases=coverage,fuzzing",
            "--no-color",
        )
    assert status == 0, printed
    tested = re.search(r"Tested: (\d+)", printed)
    assert tested is not None, printed
    assert int(tested[1]) >= 12
