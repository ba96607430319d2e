"""Rows for the tests of the whole relay."""

from collections.abc import AsyncIterator, Iterator

import pytest

from emulator.running import Emulator
from tests.relay.clients import THROUGH_ASGI, Tables


@pytest.fixture(params=["own class", "ASGI"])
async def each_server(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Runs the test with relays that use their own class for connections, and through ASGI."""
    token = THROUGH_ASGI.set(request.param == "ASGI")
    yield
    THROUGH_ASGI.reset(token)


@pytest.fixture
def tables(emulator: Emulator) -> Iterator[Tables]:
    tables = Tables(emulator)
    yield tables
    tables.close()
