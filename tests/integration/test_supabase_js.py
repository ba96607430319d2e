"""Everyday features of supabase-js, tested by Node's own test runner."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import PIPE, STDOUT

import pytest

from tests.integration.conftest import DEADLINE_SECONDS, Member, Supabase
from tests.node import JAVASCRIPT, install, node

SUITE = JAVASCRIPT / "everyday.test.mjs"


@pytest.mark.timeout(300)  # a first run installs the client
async def test_supabase_js_does_what_frontends_do_with_it(
    supabase: Supabase, member: Member
) -> None:
    program = node()
    await asyncio.to_thread(install, JAVASCRIPT)
    settings = {
        "SUPABASE_URL": supabase.url,
        "PUBLISHABLE_KEY": supabase.publishable,
        "SECRET_KEY": supabase.secret,
        "EMAIL": member.email,
        "PASSWORD": member.password,
        "ENTITY": supabase.entity,
    }
    process = await asyncio.create_subprocess_exec(
        *(program, "--test", "--test-reporter=tap", "--test-timeout=30000"),
        *("--test-force-exit", str(SUITE)),  # the client keeps timers of ten seconds
        env={**os.environ, **settings},
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        async with asyncio.timeout(3 * DEADLINE_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, output.decode()
    assert "# pass 7\n" in output.decode()
