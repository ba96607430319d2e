"""What a plain frontend holds that gets bare rows: no cursor, no reset, no filter's end. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.chaos.application import Note, Taken
from tests.chaos.frames import BadFrame, bare
from tests.chaos.ledger import Row
from tests.chaos.wanted import Wanted


@dataclass
class BareRows:
    """One client of the rows format. A new connection begins anew with the newest rows."""

    wanted: Wanted
    note: Note = field(repr=False)
    held: dict[int, tuple[int, Row]] = field(default_factory=dict)
    _gone: dict[int, int] = field(default_factory=dict)  # the version that was deleted, at least

    def connected(self) -> None:
        """A connection begins."""
        self.held.clear()
        self._gone.clear()

    def take(self, text: str) -> Taken | None:
        """A frame, and what was taken of it; deletions have no version."""
        try:
            change = bare(self.wanted.table, text)
        except (BadFrame, KeyError, ValueError) as error:
            self.note("bad frame", str(error))
            return None
        if change.row is None:
            before, _ = self.held.pop(change.id, (self._gone.get(change.id, 0), None))
            self._gone[change.id] = before + 1
            return None
        before, _ = self.held.get(change.id, (self._gone.get(change.id, 0), None))
        if change.version <= before:
            kind = "duplicate" if change.version == before else "stale"
            self.note(kind, f"{change} after version {before}, which may be its deletion")
            return None
        if not self.wanted.matches(change.row):
            self.note("filter", f"{change} does not match {self.wanted.query}")
        self.held[change.id] = change.version, change.row
        return Taken(change.id, before, change.version)
