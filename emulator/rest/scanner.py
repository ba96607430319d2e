"""A scanner with the lexical elements that all parameters share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from emulator.rest.syntax import Field, Step

FIELD_NAME = "field name (* or [a..z0..9_$])"
JSON_KEY_ENDS = "(-:.,>)"

T = TypeVar("T")


class ParseFailure(Exception):
    """The text does not follow the grammar; `at` is the offset in it."""

    def __init__(self, scanner: Scanner, expecting: str) -> None:
        self.at = scanner.at
        found = scanner.peek()
        unexpected = f'"{found}"' if found else "end of input"
        self.details = f"unexpected {unexpected} expecting {expecting}"
        before = scanner.text[: self.at]
        self.line = before.count("\n") + 1
        self.column = self.at - (before.rfind("\n") + 1) + 1
        super().__init__(self.details)


class Scanner:
    """Reads `text` from left to right; failed attempts leave the position unchanged."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self, length: int = 1) -> str:
        return self.text[self.at : self.at + length]

    @property
    def at_end(self) -> bool:
        return self.at >= len(self.text)

    def take(self, literal: str) -> bool:
        """Step over `literal` if it comes next."""
        if not self.text.startswith(literal, self.at):
            return False
        self.at += len(literal)
        return True

    def expect(self, literal: str, label: str | None = None) -> None:
        if not self.take(literal):
            raise self.failure(label or f'"{literal}"')

    def expect_end(self) -> None:
        if not self.at_end:
            raise self.failure("end of input")

    def failure(self, expecting: str) -> ParseFailure:
        return ParseFailure(self, expecting)

    def spaces(self) -> None:
        while self.peek() in {" ", "\t"}:
            self.at += 1

    def run(self, accepts: Callable[[str], bool]) -> str:
        """The longest run of characters that `accepts` holds for."""
        start = self.at
        while not self.at_end and accepts(self.text[self.at]):
            self.at += 1
        return self.text[start : self.at]

    def rest(self) -> str:
        start, self.at = self.at, len(self.text)
        return self.text[start:]

    def attempt(self, parse: Callable[[], T]) -> T | None:
        """What `parse` reads, or None with the position unchanged when it fails."""
        start = self.at
        try:
            return parse()
        except ParseFailure:
            self.at = start
            return None

    def quoted(self) -> str:
        """A text in double quotes, in which a backslash escapes any character."""
        self.expect('"')
        read = []
        while not self.take('"'):
            self.take("\\")
            if self.at_end:
                raise self.failure('"\\"" or character')
            read.append(self.peek())
            self.at += 1
        return "".join(read)

    def identifier(self) -> str:
        name = self.run(_in_identifier)
        if not name:
            raise self.failure(FIELD_NAME)
        return name.strip()

    def name(self) -> str:
        """A column or table name: quoted, or words joined by dashes."""
        return self._dashed(self.identifier)

    def field(self) -> Field:
        return Field(self.name(), self._path())

    def _path(self) -> tuple[Step, ...]:
        steps = []
        while self.peek(2) == "->":
            text = self.take("->>")
            if not text:
                self.expect("->")
            index = self.attempt(self._index)
            operand = self._dashed(self._json_key) if index is None else index
            steps.append(Step(operand, index is not None, text))
        return tuple(steps)

    def _index(self) -> str:
        sign = "-" if self.take("-") else ""
        digits = self.run(lambda c: c in "0123456789")
        ends = self.at_end or self.peek() in {".", ","} or self.peek(2) in {"->", "::"}
        if not digits or not ends:
            raise self.failure("digit")
        return sign + digits

    def _json_key(self) -> str:
        key = self.run(lambda c: c not in JSON_KEY_ENDS)
        if not key:
            raise self.failure("any non reserved character different from: .,>()")
        return key.strip()

    def _dashed(self, word: Callable[[], str]) -> str:
        if self.peek() == '"':
            return self.quoted()
        words = [word()]
        while self.peek() == "-" and self.peek(2) != "->":
            self.at += 1
            words.append(word())
        return "-".join(words)


def _in_identifier(character: str) -> bool:
    return character.isalpha() or character in "0123456789_ $"
