"""One change in every form in which groups want it, each made once and only if it is wanted."""

from collections.abc import Callable
from typing import Final

from relay.changes import frames
from relay.changes.deflate import deflated
from relay.changes.records import Change
from relay.changes.wire import framed


class Forms:
    """The frames of a change that has the number `seq`."""

    def __init__(self, change: Change, seq: int) -> None:
        self._change: Final = change
        self._seq: Final = seq
        self._row: Final = frames.row(change)
        self._made: dict[tuple[str, bool], bytes] = {}

    def row(self, *, compressed: bool) -> bytes:
        """The bare row."""
        return self._get("row", compressed, lambda: self._row)

    def event(self, *, compressed: bool) -> bytes:
        """The event."""
        return self._get(
            "event", compressed, lambda: frames.event(self._change, self._seq, self._row)
        )

    def leave(self, *, compressed: bool) -> bytes:
        """The event that takes the row away from who does not want it any more."""
        change = self._change
        table = change.endpoint.name
        return self._get(
            "leave",
            compressed,
            lambda: frames.leave(table, change.id, change.version, self._seq),
        )

    def _get(self, kind: str, compressed: bool, make: Callable[[], str]) -> bytes:
        frame = self._made.get((kind, compressed))
        if frame is None:
            frame = deflated(self._get(kind, False, make)) if compressed else framed(make())
            self._made[kind, compressed] = frame
        return frame
