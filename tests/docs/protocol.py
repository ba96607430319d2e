"""The tables of docs/protocol.md, made from relay/protocol.schema.json; `python -m
tests.docs.protocol` writes them into the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.docs.pages import DOCS, PROJECT

PAGE = DOCS / "protocol.md"
SCHEMA = PROJECT / "relay/protocol.schema.json"
PLACE = "<!-- begin: {part} of relay/protocol.schema.json -->\n{table}<!-- end -->"
ROWS = ("Hotspot", "Alert", "Recommendation")


def tables() -> dict[str, str]:
    """The generated parts of the page by their names."""
    defined = json.loads(SCHEMA.read_text())["$defs"]
    named = [
        each["$ref"].rpartition("/")[2]
        for union in ("ServerFrame", "ClientMessage")
        for each in defined[union]["oneOf"]
    ]
    return {
        "frames": "\n".join(_table(name, defined) for name in named) + "\n",
        "rows": "\n".join(_table(name, defined) for name in ROWS) + "\n",
    }


def _table(name: str, defined: dict[str, Any]) -> str:
    shape = defined[name]
    kinds = _values(shape["properties"].get("type", {}))
    title = ", ".join(f"`{kind}`" for kind in kinds) or name
    side = " (from the client)" if name.endswith("Message") else ""
    lines = [f"### {title}{side}", "", shape["description"], ""]
    fields = list(_fields(shape, defined, without={"type"} if kinds else set()))
    if fields:
        lines += ["| field | type | meaning |", "|---|---|---|", *fields, ""]
    return "\n".join(lines)


def _fields(shape: dict[str, Any], defined: dict[str, Any], without: set[str]) -> Iterator[str]:
    for name, described in shape["properties"].items():
        if name in without:
            continue
        kind, meaning = _type(described, defined)
        needed = "" if name in shape["required"] else " (may be missing)"
        yield f"| `{name}` | {kind}{needed} | {described.get('description') or meaning} |"


def _type(described: dict[str, Any], defined: dict[str, Any]) -> tuple[str, str]:
    """The type in words, and what the named type that it refers to says of itself."""
    if (reference := described.get("$ref")) is not None:
        target = defined[reference.rpartition("/")[2]]
        return _type(target, defined)[0], target.get("description", "")
    if (several := described.get("oneOf")) is not None:
        found = [_type(each, defined) for each in several]
        return " or ".join(kind for kind, _ in found), found[0][1]
    if values := _values(described):
        return ", ".join(f"`{value}`" for value in values), ""
    kinds = described["type"]
    return " or ".join([kinds] if isinstance(kinds, str) else kinds), ""


def _values(described: dict[str, Any]) -> list[str]:
    const = described.get("const")
    values = described.get("enum", [] if const is None else [const])
    return ["null" if value is None else str(value) for value in values]


def filled(text: str) -> str:
    """The page with its generated parts as the schema has them now."""
    for part, table in tables().items():
        begin = re.escape(PLACE.format(part=part, table="").removesuffix("<!-- end -->"))
        whole = PLACE.format(part=part, table=table)
        (place,) = re.findall(f"{begin}.*?<!-- end -->", text, re.DOTALL)
        text = text.replace(place, whole)
    return text


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
