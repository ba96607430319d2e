"""docs/protocol.md shows the protocol as its machine-readable description has it."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest

from tests.docs.pages import Block, all_blocks
from tests.docs.protocol import PAGE, SCHEMA, filled

DEFINED = json.loads(SCHEMA.read_text())


def test_the_tables_are_those_of_the_schema() -> None:
    assert filled(PAGE.read_text()) == PAGE.read_text(), "run python -m tests.docs.protocol"


@pytest.mark.parametrize("block", all_blocks("json"), ids=str)
def test_the_messages_of_the_pages_are_valid(block: Block) -> None:
    either = {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in ("ServerFrame", "ClientMessage")]}
    validator = jsonschema_rs.validator_for({"$defs": DEFINED["$defs"], **either})
    message = json.loads(block.text)
    validator.validate(message)
    assert not validator.is_valid(message | {"unknown": 1})
