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
    _deleted: set[int] = field(default_factory=set)

    def connected(self) -> None:
        """A connection begins."""
        self.held.clear()
        self._deleted.clear()

    def take(self, text: str) -> Taken | None:
        """A frame, and what was taken of it; deletions have no version."""
        try:
            change = bare(self.wanted.table, text)
        except (BadFrame, KeyError, ValueError) as error:
            self.note("bad frame", str(error))
            return None
        if change.row is None:
            self.held.pop(change.id, None)
            self._deleted.add(change.id)
            return None
        before, _ = self.held.get(change.id, (0, None))
        if change.id in self._deleted or change.version <= before:
            kind = "duplicate" if change.version == before else "stale"
            self.note(kind, f"{change} after version {before} or its deletion")
            return None
        if not self.wanted.matches(change.row):
            self.note("filter", f"{change} does not match {self.wanted.query}")
        self.held[change.id] = change.version, change.row
        return Taken(change.id, before, change.version)
