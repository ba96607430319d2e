"""The key by which a repeated import of the same rows adds nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


class RowKeys:
    """Gives each row of one file its key: the hash of its normalised content and of how often
    the same content came before.

    Two identical rows of a file are two events; the same file again, or its rows in another order
    or with other spellings of the same values, has the same keys. It remembers 16 bytes per
    distinct row.
    """

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}

    def key(self, row: Mapping[str, Any]) -> str:
        """Give the key of the next row. Values that are None do not count."""
        given = {name: value for name, value in row.items() if value is not None}
        content = json.dumps(given, sort_keys=True, ensure_ascii=True, allow_nan=False)
        digest = hashlib.sha256(content.encode()).digest()[:16]
        occurrence = self._seen[digest] = self._seen.get(digest, 0) + 1
        return f"{digest.hex()}-{occurrence}"
