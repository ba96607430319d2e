"""The relay's HTTP routes on the embedded Supabase, for one signed-in user."""

from collections.abc import AsyncIterator

import httpx
import pytest

from emulator.running import Emulator
from relay.api.user_client import UserClient
from tests.relay.serving import commands


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    token = emulator.keys.mint("authenticated", subject="alice")
    async with (
        UserClient(emulator.url, emulator.keys.publishable) as behalf,
        commands(behalf, token) as client,
    ):
        yield client
