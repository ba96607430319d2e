"""The project's public keys, from a real server that can be told to misbehave."""

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from emulator.signing import SigningKey
from relay.access import jwks as jwks_module
from relay.access.jwks import Jwks


@dataclass
class Site:
    """Serves `body` with `status` under the address of a project, and counts the requests."""

    status: int = 200
    body: bytes = b'{"keys": []}'
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def publish(self, *keys: SigningKey) -> None:
        self.status, self.body = 200, json.dumps({"keys": [k.published() for k in keys]}).encode()


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            self.send_response(served.status)
            self.send_header("Content-Length", str(len(served.body)))
            self.end_headers()
            self.wfile.write(served.body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield served
        server.shutdown()
        thread.join()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ids(jwks: Jwks) -> list[str | None]:
    return [key.id for key in jwks.keys]


async def test_fetches_the_published_keys(site: Site) -> None:
    key = SigningKey.generate()
    site.publish(key)
    jwks = Jwks(site.url, Clock())
    assert await jwks._refresh()
    assert ids(jwks) == [key.id]
    assert site.asked == ["/auth/v1/.well-known/jwks.json"]
    await jwks.close()


async def test_a_key_that_is_not_known_is_looked_for(site: Site) -> None:
    former, newer, clock = SigningKey.generate(), SigningKey.generate(), Clock()
    site.publish(former)
    jwks = await fetched(site, clock)
    site.publish(newer, former)
    clock.now += 5
    assert await jwks.look_for(b"newer", "203.0.113.1")
    assert ids(jwks) == [newer.id, former.id]
    assert len(site.asked) == 2
    await jwks.close()


async def test_one_that_was_looked_for_is_not_looked_for_again_for_a_minute(site: Site) -> None:
    jwks = await fetched(site, clock := Clock())
    for wait, asked in ((5, 2), (30, 2), (29, 2), (1, 3)):
        clock.now += wait
        assert await jwks.look_for(b"made up", "203.0.113.1")
        assert len(site.asked) == asked
    await jwks.close()


async def test_made_up_keys_of_one_address_do_not_keep_others_from_a_fresh_one(site: Site) -> None:
    jwks = await fetched(site, clock := Clock())
    looked = []
    for n in range(100):
        clock.now += 5
        looked.append(await jwks.look_for(b"made up %d" % n, "203.0.113.1"))
    assert looked[:5] == [True] * 5
    assert sum(looked) <= 5 + 100 * 5 / 60 + 1
    key = SigningKey.generate()
    site.publish(key)
    clock.now += 5
    assert await jwks.look_for(b"fresh", "203.0.113.2")
    assert ids(jwks) == [key.id]
    await jwks.close()


async def test_the_project_is_asked_every_five_seconds_at_most(site: Site) -> None:
    jwks = await fetched(site, clock := Clock())
    for n in range(100):
        clock.now += 0.5
        await jwks.look_for(b"made up %d" % n, f"203.0.113.{n}")
    assert len(site.asked) <= 1 + 10
    await jwks.close()


async def test_what_is_remembered_of_made_up_keys_has_an_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks_module, "MOST_ABSENT", 3)
    jwks = await fetched(site, clock := Clock())
    for n in range(10):
        clock.now += 5
        await jwks.look_for(b"made up %d" % n, f"203.0.113.{n}")
    assert len(jwks._absent) == 3
    await jwks.close()


async def test_where_the_project_does_not_answer_nobody_knows(site: Site) -> None:
    jwks = await fetched(site, clock := Clock())
    site.status = 503
    clock.now += 5
    assert not await jwks.look_for(b"made up", "203.0.113.1")
    await jwks.close()


async def test_ten_thousand_that_look_at_once_share_one_request(site: Site) -> None:
    jwks = Jwks(site.url, Clock())
    looked = (jwks.look_for(b"%d" % n, "203.0.113.1") for n in range(10_000))
    assert all(await asyncio.gather(*looked))
    assert len(site.asked) == 1
    await jwks.close()


async def fetched(site: Site, clock: Clock) -> Jwks:
    """The keys after their first fetch."""
    jwks = Jwks(site.url, clock)
    assert await jwks._refresh()
    return jwks


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"keys": 5}'),
        (200, b"[" * 200_000),
        (200, b'{"keys": [' + b" " * 300_000 + b"]}"),
    ],
)
async def test_a_failed_fetch_leaves_the_former_keys_in_force(
    site: Site, status: int, body: bytes
) -> None:
    key, clock = SigningKey.generate(), Clock()
    site.publish(key)
    jwks = Jwks(site.url, clock)
    await jwks._refresh()
    site.status, site.body = status, body
    clock.now += 60
    assert not await jwks._refresh()
    assert ids(jwks) == [key.id]
    await jwks.close()


async def test_a_key_that_is_not_published_any_more_does_not_count(site: Site) -> None:
    former, newer, clock = SigningKey.generate(), SigningKey.generate(), Clock()
    site.publish(newer, former)
    jwks = Jwks(site.url, clock)
    await jwks._refresh()
    site.publish(newer)
    clock.now += 60
    await jwks._refresh()
    assert ids(jwks) == [newer.id]
    await jwks.close()


async def test_a_project_that_is_away_is_asked_again_soon_until_it_answers(site: Site) -> None:
    clock = Clock()
    jwks = Jwks(site.url, clock)
    site.status = 503
    await jwks._refresh()
    clock.now += 5
    key = SigningKey.generate()
    site.publish(key)
    await jwks._refresh()
    assert ids(jwks) == [key.id]
    await jwks.close()
