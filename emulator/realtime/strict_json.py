"""JSON as every other reader takes it: Python's also knows NaN and halves of surrogate pairs."""

from __future__ import annotations

import json
from typing import Any


def parse(content: str | bytes) -> Any:
    """What `content` says; raises ValueError when it could not be passed on as JSON."""
    try:
        value = json.loads(content)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    return value
