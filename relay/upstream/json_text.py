"""Parses long JSON answers piece by piece, so that others get their turn in between. Pure."""

import json
from collections.abc import Iterator
from typing import Any, Final

_decoder: Final = json.JSONDecoder()
_SPACE: Final = " \t\n\r"


class JsonText:
    """A JSON text that is read from left to right.

    Every method raises ValueError where the text is something else than what is asked for.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def value(self) -> Any:
        """Parse the next value in one go."""
        self._skip_space()
        value, self._at = _decoder.raw_decode(self._text, self._at)
        return value

    def elements(self) -> Iterator[Any]:
        """Yield the elements of the array that comes next, each parsed when it is asked for."""
        for _ in self._items("[", "]"):
            yield self.value()

    def members(self) -> Iterator[str]:
        """Yield the names in the object that comes next; the value has to be read after each."""
        for _ in self._items("{", "}"):
            name = self.value()
            if not isinstance(name, str) or not self._takes(":"):
                raise ValueError(f"no object at character {self._at}")
            yield name

    def end(self) -> None:
        """Check that nothing follows."""
        self._skip_space()
        if self._at != len(self._text):
            raise ValueError(f"more than one value at character {self._at}")

    def _items(self, begin: str, end: str) -> Iterator[None]:
        if not self._takes(begin):
            raise ValueError(f"no {begin} at character {self._at}")
        if self._takes(end):
            return
        yield
        while self._takes(","):
            yield
        if not self._takes(end):
            raise ValueError(f"no {end} at character {self._at}")

    def _takes(self, character: str) -> bool:
        self._skip_space()
        taken = self._text.startswith(character, self._at)
        self._at += taken
        return taken

    def _skip_space(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in _SPACE:
            self._at += 1
