"""Texts as Elixir's `inspect` writes them: the real server quotes them in its error messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WIDTH = 80


@dataclass(frozen=True, slots=True)
class Tuple:
    """Elements that are written in braces."""

    elements: tuple[Any, ...]


def inspect(value: Any) -> str:
    """`value` as Elixir shows it, broken into lines where a list is wider than 80 columns."""
    line = _line(value)
    if len(line) <= WIDTH or not isinstance(value, list):
        return line
    return "[\n" + ",\n".join("  " + _filled(element) for element in value) + "\n]"


def _line(value: Any) -> str:
    match value:
        case None:
            return "nil"
        case True:
            return "true"
        case False:
            return "false"
        case str():
            return '"' + value.translate(_ESCAPES) + '"'
        case list():
            return "[" + ", ".join(map(_line, value)) + "]"
        case Tuple(elements):
            return "{" + ", ".join(map(_line, elements)) + "}"
        case dict():
            pairs = (f"{_line(key)} => {_line(value[key])}" for key in sorted(value))
            return "%{" + ", ".join(pairs) + "}"
        case _:
            return str(value)


_ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def _filled(value: Any) -> str:
    """A tuple inside a broken list: as many elements on each line as fit."""
    if not isinstance(value, Tuple):
        return _line(value)
    lines = [""]
    for number, element in enumerate(value.elements):
        text = _line(element) + ("," if number < len(value.elements) - 1 else "}")
        if lines[-1] and len(lines[-1]) + len(text) + 4 > WIDTH:
            lines.append(text)
        else:
            lines[-1] += (" " if lines[-1] else "{") + text
    return "\n   ".join(lines)
