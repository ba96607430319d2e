"""Rows for the tests of the whole relay."""

from collections.abc import Iterator

import pytest

from emulator.running import Emulator
from tests.relay.clients import Tables


@pytest.fixture
def tables(emulator: Emulator) -> Iterator[Tables]:
    tables = Tables(emulator)
    yield tables
    tables.close()
