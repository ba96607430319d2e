"""The project that the official clients are tried on: the emulator's, or a hosted one.

The hosted one needs the project's migrations, `SUPABASE_TEST_URL`, `SUPABASE_TEST_SECRET_KEY` and
`SUPABASE_TEST_PUBLISHABLE_KEY`. The tests leave nothing behind in it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from emulator.running import Emulator

VARIABLES = ("SUPABASE_TEST_URL", "SUPABASE_TEST_SECRET_KEY", "SUPABASE_TEST_PUBLISHABLE_KEY")
DEADLINE_SECONDS = 30


@dataclass(frozen=True)
class Supabase:
    """A project, and a name that nothing else in it has."""

    url: str
    secret: str = field(repr=False)
    publishable: str = field(repr=False)
    entity: str = field(default_factory=lambda: f"Integration_{uuid.uuid4().hex}")

    def hotspot(self, **more: object) -> dict[str, object]:
        """A new row for `hotspots`."""
        row = {"entity": self.entity, "entity_type": "supplier", "event_type": "logistics"}
        numbers = {"predicted_co2": 90.5, "baseline_co2": 60.0, "percent_above": 50.8}
        return {**row, **numbers, "severity": "critical", **more}


@dataclass(frozen=True)
class Member:
    """A user of the project who can sign in."""

    id: str
    email: str
    password: str = field(repr=False)

    async def sign_in(self, client: AsyncClient) -> str:
        """Sign `client` in; the token."""
        answer = await client.auth.sign_in_with_password(
            {"email": self.email, "password": self.password}
        )
        assert answer.session is not None
        return answer.session.access_token


hosted = pytest.mark.skipif(
    any(not os.environ.get(name) for name in VARIABLES),
    reason=f"no hosted project: {', '.join(VARIABLES)} are not set",
)


@pytest.fixture(params=["emulator", pytest.param("hosted", marks=hosted)])
def supabase(request: pytest.FixtureRequest) -> Iterator[Supabase]:
    if request.param == "hosted":
        yield Supabase(*(os.environ[name] for name in VARIABLES))
        return
    emulator: Emulator = request.getfixturevalue("emulator")
    yield Supabase(emulator.url, emulator.keys.secret, emulator.keys.publishable)


@asynccontextmanager
async def client(supabase: Supabase, key: str) -> AsyncIterator[AsyncClient]:
    """The official client as published, which shares one pool of connections among its parts."""
    async with httpx.AsyncClient(timeout=DEADLINE_SECONDS) as http:
        options = AsyncClientOptions(auto_refresh_token=False, httpx_client=http)
        made = await acreate_client(supabase.url, key, options)
        try:
            yield made
        finally:
            await made.realtime.remove_all_channels()
            await made.realtime.close()


@pytest.fixture
async def service(supabase: Supabase) -> AsyncIterator[AsyncClient]:
    """The official client with the secret key; what the test wrote is deleted after it."""
    async with client(supabase, supabase.secret) as made:
        yield made
        for table in ("hotspots", "detector_keys"):
            await made.table(table).delete().eq("entity", supabase.entity).execute()


@pytest.fixture
async def anon(supabase: Supabase) -> AsyncIterator[AsyncClient]:
    """The official client with the publishable key."""
    async with client(supabase, supabase.publishable) as made:
        yield made


@pytest.fixture
async def member(service: AsyncClient) -> AsyncIterator[Member]:
    """A user, made for the test."""
    email, password = f"{uuid.uuid4().hex}@example.org", uuid.uuid4().hex
    answer = await service.auth.admin.create_user(
        {"email": email, "password": password, "email_confirm": True}
    )
    yield Member(answer.user.id, email, password)
    await service.auth.admin.delete_user(answer.user.id)


@pytest.fixture
async def user(supabase: Supabase, member: Member) -> AsyncIterator[AsyncClient]:
    """The official client, signed in as `member`."""
    async with client(supabase, supabase.publishable) as made:
        await member.sign_in(made)
        yield made
