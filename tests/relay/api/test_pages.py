"""The files that browsers get: what they are, and who may import them."""

from pathlib import Path

import httpx
import pytest

from emulator.running import Emulator
from relay.pages import CLIENT, WEB
from tests.relay.clients import relay_of

ALLOWED = "http://localhost:5173"


async def test_the_client_and_its_types_can_be_imported_from_an_allowed_origin_alone(
    emulator: Emulator,
) -> None:
    kinds = {".js": "text/javascript", ".ts": "application/typescript", ".css": "text/css"}
    async with (
        relay_of(
            emulator, RELAY_AUTH="required", RELAY_ALLOWED_ORIGINS="http://localhost:*"
        ) as relay,
        httpx.AsyncClient(
            base_url=f"http://{relay.host}/web/", trust_env=False, timeout=60
        ) as client,
    ):
        page = [path.name for path in WEB.iterdir() if path.suffix in kinds]
        package = [f"client/{path.name}" for path in CLIENT.iterdir() if path.suffix in kinds]
        for file in page + package:
            reply = await client.get(file, headers={"Origin": ALLOWED})
            assert reply.status_code == 200
            assert reply.headers["content-type"] == f"{kinds[Path(file).suffix]}; charset=utf-8"
            assert reply.headers["access-control-allow-origin"] == ALLOWED
            assert reply.headers["vary"] == "Origin"
            assert reply.headers["cache-control"] == "no-cache"
            assert reply.headers["x-content-type-options"] == "nosniff"
            again = {"Origin": ALLOWED, "If-None-Match": reply.headers["etag"]}
            unchanged = await client.get(file, headers=again)
            assert unchanged.status_code == 304
            assert unchanged.headers["access-control-allow-origin"] == ALLOWED
        for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
            reply = await client.get("client.js", headers=headers)
            assert "access-control-allow-origin" not in reply.headers
            assert reply.headers["vary"] == "Origin"
        assert (await client.get("nothing.js")).status_code == 404


@pytest.mark.parametrize("auth", ["required", "off"])
async def test_the_page_is_told_where_its_users_sign_in_and_no_secret(
    emulator: Emulator, auth: str
) -> None:
    async with (
        relay_of(emulator, RELAY_AUTH=auth) as relay,
        httpx.AsyncClient(base_url=f"http://{relay.host}", trust_env=False, timeout=60) as client,
    ):
        reply = await client.get("/web/config.json")
        page = await client.get("/")
    assert reply.json() == {
        "auth": auth,
        "supabase_url": emulator.url,
        "publishable_key": emulator.keys.publishable,
    }
    assert emulator.keys.secret not in reply.text
    policy = page.headers["content-security-policy"]
    assert f"connect-src 'self' {emulator.url};" in policy
    assert "frame-ancestors 'none'" in policy
