"""What applications hold that follow relay.v1 or bare rows, and the violations they notice. Pure.

The rule of relay.v1 is the one that every consumer has: compare (table, id, version), take what is
newer, deletions included, forget everything at a reset. Beside the rule stands what the relay owes
on one connection: the versions of each row only grow, none comes twice, and cursors come only after
all that was missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from chaos.frames import BadFrame, Change, Message, bare, event
from chaos.ledger import Row
from chaos.subscriptions import Subscription

Note = Callable[[str, str], None]  # a kind of incident, and what it was


@dataclass(frozen=True, slots=True)
class Taken:
    """The application took a version of a row in place of the version `after` (0: of none)."""

    id: int
    after: int
    version: int


@dataclass
class Application:
    """One client of relay.v1; `note` is called with resumes, resets, and violations."""

    wanted: Subscription
    note: Note = field(repr=False)
    held: dict[int, tuple[int, Row]] = field(default_factory=dict)
    cursor: str | None = None
    synced: bool = False
    complete: bool = False
    _versions: dict[int, int] = field(default_factory=dict)
    _sent: dict[int, int] = field(default_factory=dict)  # on this connection, since its last reset
    _greeted: bool = False
    _presented: str | None = None

    def connected(self) -> str | None:
        """A connection begins; the cursor to present."""
        self.synced = self._greeted = False
        self._sent.clear()
        self._presented = self.cursor
        return self.cursor

    def take(self, text: str) -> Taken | Message | None:
        """Take a frame; return what was taken of it, or its message about the stream."""
        try:
            found = event(self.wanted.table, text)
        except (BadFrame, KeyError, ValueError) as exc:
            self.note("bad frame", str(exc))
            return None
        if isinstance(found, Change):
            return self._change(found)
        self._obey(found)
        return found

    def _change(self, change: Change) -> Taken | None:
        if not self._greeted:
            self.note("order", f"{change} before hello")
        sent = self._sent.get(change.id)
        if sent is not None and change.version <= sent:
            kind = "duplicate" if change.version == sent else "stale"
            self.note(kind, f"{change} after version {sent} on one connection")
        self._sent[change.id] = max(change.version, sent or 0)
        before = self._versions.get(change.id, 0)
        if change.version <= before:
            return None
        self._versions[change.id] = change.version
        if change.row is not None:
            if not self.wanted.matches(change.row):
                self.note("filter", f"{change} does not match {self.wanted.query}")
            self.held[change.id] = change.version, change.row
        else:
            self.held.pop(change.id, None)
        return Taken(change.id, before, change.version)

    def _obey(self, message: Message) -> None:
        members = message.members
        match message.type:
            case "hello":
                self._greet(message)
            case "synced":
                self.synced, self.complete = True, members["complete"] is True
                self._keep(members["cursor"])
            case "cursor":
                if not self.synced:
                    self.note("cursor", "a cursor before everything missed was sent")
                self._keep(members["cursor"])
            case "reset":
                self._discard(members["reason"])
            case "status":
                pass
            case _:
                self.note("bad frame", f"type {message.type}")

    def _greet(self, hello: Message) -> None:
        if self._greeted:
            self.note("order", "a second hello")
        self._greeted = True
        if "cursor" in hello.members:
            self.note("cursor", "a cursor in hello")
        if self._presented is None:
            self._forget()
        elif hello.members["resumed"]:
            self.note("resume", "")
        else:  # counted with the reset that follows
            self._forget()

    def _discard(self, reason: str) -> None:
        self.note("reset", reason)
        self.synced = False
        self._forget()

    def _forget(self) -> None:
        self.held.clear()
        self._versions.clear()
        self._sent.clear()
        self.cursor = None

    def _keep(self, cursor: str | None) -> None:
        self.cursor = cursor


@dataclass
class BareRows:
    """One client of the rows format. A new connection begins anew with the newest rows."""

    wanted: Subscription
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
        except (BadFrame, KeyError, ValueError) as exc:
            self.note("bad frame", str(exc))
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
