"""Cuts an SQL script into its statements."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# One token that may hold a semicolon which ends nothing, or that matters for finding the end.
TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<line_comment>--[^\n]*)
  | (?P<block_comment>/\*)
  | (?P<escaped>\b[eE]'(?:[^'\\]|\\.|'')*')
  | (?P<string>'(?:[^']|'')*')
  | (?P<name>"(?:[^"]|"")*")
  | (?P<dollar>(?<![\w$])\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)
  | (?P<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)
  | (?P<end>;)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
COMMENT_EDGE = re.compile(r"/\*|\*/")


@dataclass(frozen=True)
class Statement:
    """One statement without its semicolon, and the line (from 1) that it begins on."""

    text: str
    line: int


def split(script: str) -> list[Statement]:
    """The statements of `script` in order; comments outside of a statement are left out.

    Knows quotes, dollar quotes, nested comments and bodies in `begin atomic ... end`. What is
    never closed reaches to the end, for the server to complain about.
    """
    return list(_statements(script))


def _statements(script: str) -> Iterator[Statement]:
    position, start, body = 0, None, _Body()
    while position < len(script):
        token = TOKEN.match(script, position)
        if token is None:  # cannot be: `other` takes every character
            raise ValueError(f"no token at {position}")
        kind, end = token.lastgroup, token.end()
        if kind == "block_comment":
            end = _comment_end(script, position)
        elif kind == "dollar":
            closing = script.find(token[0], end)
            end = len(script) if closing < 0 else closing + len(token[0])
        elif kind == "word":
            body.see(token[0].lower())
        if kind == "end" and not body.open:
            if start is not None:
                yield _statement(script, start, position)
            start, body = None, _Body()
        elif start is None and kind not in {"space", "line_comment", "block_comment"}:
            start = position
        position = end
    if start is not None:
        yield _statement(script, start, len(script))


class _Body:
    """Follows `begin atomic ... end`, where semicolons separate the statements of a function."""

    def __init__(self) -> None:
        self._depth = 0
        self._previous = ""

    @property
    def open(self) -> bool:
        return self._depth > 0

    def see(self, word: str) -> None:
        opens = word == "atomic" and self._previous == "begin"
        if opens or (self._depth and word == "case"):
            self._depth += 1
        elif self._depth and word == "end":
            self._depth -= 1
        self._previous = word


def _statement(script: str, start: int, end: int) -> Statement:
    return Statement(script[start:end].rstrip(), script.count("\n", 0, start) + 1)


def _comment_end(script: str, start: int) -> int:
    depth = 0
    for edge in COMMENT_EDGE.finditer(script, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(script)
