"""The hub: publishes the changes of each endpoint into a log and sends it to its groups."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from relay.errors import Unavailable
from relay.stream import encoding
from relay.stream.change import ENDPOINTS, Change, Endpoint, by_endpoint
from relay.stream.encoding import Format, FrameFormat, Piece, formed, framed, joined
from relay.stream.fan_out import (
    FEWEST_BATCHED,
    Batch,
    CaughtUpSubscribers,
    Departure,
    Round,
    Subscriber,
    Write,
)
from relay.stream.filters import Columns, Filter, Index, Values, numbers, union
from relay.stream.log import (
    ANNOUNCEMENT,
    CURSOR_MARK,
    DELETION,
    UNKNOWN,
    Budget,
    KnownVersions,
    Log,
    LogLimits,
    Overflow,
    RecentChanges,
    Routing,
)
from relay.stream.snapshot import Seqs

MOST_PIECES: Final = 8
MOST_ABOUTS: Final = 1_000
MOST_BYTES: Final = 256 * 1024  # of a round

Cursors = Callable[[Filter], str | None]
"""The cursor for each filter as of one moment."""


class Sent(NamedTuple):
    """One step of a round: frames sent, and to how many clients."""

    format: Format
    frames: int
    clients: int


class Group:
    """Subscribers that get the same frames: of one endpoint, format, filter and compression.

    A group holds no frames: what it gets is picked from the log of its endpoint. Those that are
    caught up have had everything up to `flushed`, which was `sent` frames since the start; the
    others read by themselves, but never beyond it. `number` identifies its filter in the index.
    """

    def __init__(self, stream: "Stream", form: FrameFormat, wanted: Filter, number: int) -> None:
        self.stream: Final = stream
        self.log: Final = stream.log
        self.form: Final = form
        self.format: Final = form.format
        self.wanted: Final = wanted
        self.number: Final = number
        self.members: Final[set[Subscriber]] = set()
        self.caught_up: Final = CaughtUpSubscribers[Subscriber](stream.batch)
        self.sent = 0
        self.due = False
        self._demands: Final = stream.columns.demands(wanted)
        self._piece: Piece | None = None
        self._falling: list[Subscriber] | None = None

    @property
    def flushed(self) -> int:
        """Position up to which its caught-up subscribers have had everything."""
        return self.stream.flushed if self.due else self.stream.sending_to

    def keep(self, member: Subscriber, write: Write, descriptor: int | None) -> None:
        """Add a subscriber that is caught up: it has had everything up to `flushed`."""
        if not self.caught_up:
            self.caught_up.add(member, write, descriptor)
            self.stream.caught_up_changed(self)
        else:
            self.caught_up.add(member, write, descriptor)

    def drop(self, member: Subscriber) -> Departure | None:
        """Remove a subscriber from the caught-up ones; None if it was none."""
        if member not in self.caught_up:
            return None
        at, sent = self.flushed, self.sent
        if self.caught_up.discard(member) and self._piece is not None:
            at, sent = self.stream.sending_to, sent + self._piece.frames
        if not self.caught_up:
            self.stream.caught_up_changed(self)
        return Departure(at, sent)

    def fall_behind(self, member: Subscriber) -> None:
        """Backpressure: the subscriber reads by itself, since its socket is full."""
        if self._falling is not None:
            self._falling.append(member)
        elif (left := self.drop(member)) is not None:
            member.fell_behind(left)

    def send(self, piece: Piece, most: int) -> int:
        """Send the piece that is `due` to up to `most` subscribers that have not had it.

        Returns:
            The number of subscribers sent to; once all have had it, nothing is due.
        """
        self._piece = piece
        falling = self._falling = []
        try:
            clients = self.caught_up.send(piece.data, most) if piece.frames else 0
        finally:
            self._falling = None
        for member in falling:
            self.fall_behind(member)
        if not piece.frames or self.caught_up.all_served:
            self.sent_all(piece)
        return clients

    def sent_elsewhere(self, piece: Piece) -> list[Subscriber]:
        """Return the subscribers, ordered as `few_sockets`, that the caller sends the piece to.

        `sent_all` has to follow.
        """
        self._piece = piece
        return self.caught_up.served_elsewhere()

    def sent_all(self, piece: Piece) -> None:
        """Note that all subscribers have had the piece that was due."""
        self.caught_up.end()
        self._piece, self.due = None, False
        self.sent += piece.frames

    def read(
        self, position: int, stop: int, most_bytes: int, *, changes_only: bool = False
    ) -> tuple[Piece, int]:
        """Return what subscribers get of the log from `position` on, and the position after it.

        The piece may be empty. It covers the log up to `stop` at most, and `most_bytes` of it
        unless a single frame is larger. Equal reads return the same object.

        Raises:
            Overflow: Some of it has left the log.
        """
        end = self.log.piece_end(position, stop, most_bytes)
        pieces, key = self.stream.pieces, (self, position, end, changes_only)
        piece = pieces.get(key)
        if piece is None:
            piece = joined(self._picked(position, end, changes_only=changes_only))
            if len(pieces) >= MOST_PIECES:
                pieces.clear()
            pieces[key] = piece
        return piece, end

    def _passes(self, values: Values) -> bool:
        return all(values[place] in allowed for place, allowed in self._demands.items())

    def _picked(self, position: int, end: int, *, changes_only: bool) -> Iterator[bytes]:
        events = self.format is Format.EVENTS
        for at, (frame, about) in enumerate(self.log.entries(position, end), position):
            if about is ANNOUNCEMENT or about is CURSOR_MARK:
                if events and not changes_only:
                    yield (
                        frame if about is ANNOUNCEMENT else self.stream.cursor_at(at, self.wanted)
                    )
            elif about.now is None or self._passes(about.now):
                yield formed(frame, self.form)
            elif events and self._may_have_had(about.before):
                yield formed(frame, self.form, leaves=True)

    def _may_have_had(self, before: Values | None) -> bool:
        return before is UNKNOWN or (before is not None and self._passes(before))


class Stream:
    """The changes of one endpoint, encoded once.

    `seq` is that of the `newest` change, whose frame ends at `newest_end` of the log; the first one
    gets the one after `seq`. `changed` is told when there is something to send; `batch` makes what
    sends to many sockets in one go. Filters may look at `scope_column` beside the columns of the
    endpoint's parameters. The log is sent in rounds: everything up to `flushed` has been sent, and
    up to `sending_to` is being sent.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: LogLimits | None = None,
        seq: int = 0,
        changed: Callable[["Stream"], None] = lambda stream: None,
        batch: Callable[[], Batch | None] = lambda: None,
        *,
        budget: Budget | None = None,
        scope_column: str | None = None,
    ) -> None:
        limits = limits or LogLimits()
        self.endpoint: Final = endpoint
        self.seq = self.first_seq = seq
        self.columns: Final = Columns(endpoint, scope_column)
        self.log: Final = Log(
            budget or Budget(limits.max_bytes), max_frames=limits.max_frames, seq=seq
        )
        self.pieces: Final[dict[object, Piece]] = {}  # read lately, by several clients
        self.waiting: Final[set[Subscriber]] = set()
        self.generation = 0
        self.flushed = self.sending_to = 0
        self.newest: Change | None = None
        self.newest_end = 0
        self._changed = changed
        self.batch: Final = batch
        self._groups: dict[tuple[FrameFormat, Filter], Group] = {}
        self._numbered: dict[int, Group] = {}
        self._caught_up: dict[FrameFormat, int] = {}
        self._index = Index(self.columns)
        self._known = KnownVersions()
        self._picky = 0  # groups that are told when a row leaves
        self._abouts: dict[Routing, Routing] = {}
        self._cursors: tuple[int, Cursors] | None = None  # the newest, and its position
        # A round: what is still to be sent to whom, the piece in turn, and those it is for.
        self._shares: Iterator[tuple[int, Piece]] | None = None
        self._piece = Piece(b"", 0)
        self._sending: list[Group] = []
        self._recorders: list[dict[int, Change]] = []
        self.recent: Final = RecentChanges(seq)

    def groups(self) -> Iterator[Group]:
        yield from self._groups.values()

    def members(self) -> dict[Format, int]:
        """How many clients each format has."""
        found = dict.fromkeys(Format, 0)
        for group in self._groups.values():
            found[group.format] += len(group.members)
        return found

    def join(
        self, format: Format, wanted: Filter, member: Subscriber, *, compressed: bool = False
    ) -> Group:
        """Add a subscriber to the group of that format and filter, and return the group."""
        form = FrameFormat(format, compressed)
        group = self._groups.get((form, wanted))
        if group is None:
            group = Group(self, form, wanted, self._index.add(wanted))
            self._groups[form, wanted] = self._numbered[group.number] = group
            self._picky += _may_lose_rows(group)
        group.members.add(member)
        return group

    def leave(self, group: Group, member: Subscriber) -> None:
        """Remove a subscriber; an empty group is dropped."""
        group.members.discard(member)
        group.drop(member)
        self.waiting.discard(member)
        if not group.members and self._groups.pop((group.form, group.wanted), None) is not None:
            self._index.discard(group.wanted, group.number)
            del self._numbered[group.number]
            self._picky -= _may_lose_rows(group)
            if not self._picky:
                self._known.forget()

    def caught_up_changed(self, group: Group) -> None:
        """Note whether the group has subscribers that are caught up."""
        bits, bit = self._caught_up.get(group.form, 0), 1 << group.number
        self._caught_up[group.form] = bits | bit if group.caught_up else bits & ~bit

    def record(self) -> dict[int, Change]:
        """Return a mapping that collects the newest change of each id published from now on."""
        recorder: dict[int, Change] = {}
        self._recorders.append(recorder)
        return recorder

    def stop_recording(self, recorder: dict[int, Change]) -> None:
        """Stop filling a mapping of `record`."""
        self._recorders = [each for each in self._recorders if each is not recorder]

    def publish(self, changes: Iterable[Change]) -> None:
        """Append the changes to the log and schedule a flush."""
        for change in changes:
            self.seq += 1
            self.recent.append(change)
            for recorder in self._recorders:
                recorder[change.id] = change
            self.log.append(framed(encoding.event(change, self.seq)), self._about(change), self.seq)
            self.newest, self.newest_end = change, self.log.head
        self._changed(self)

    def announce(self, message: str) -> None:
        """Send a message that is no change to all clients of relay.v1."""
        self.log.append(framed(message), ANNOUNCEMENT)
        self._changed(self)

    def announce_cursors(self, cursors: Cursors) -> None:
        """Send each client of relay.v1 the cursor for its filter.

        It covers all that was published so far, and is signed when it is sent.
        """
        self._cursors = self.log.head, cursors
        self.log.append(b"", CURSOR_MARK)
        self._changed(self)

    def cursor_at(self, position: int, wanted: Filter) -> bytes:
        """Frame of the cursor announced at that position; empty if a newer one was announced."""
        if self._cursors is None or self._cursors[0] != position:
            return b""
        cursor = self._cursors[1](wanted)
        return b"" if cursor is None else framed(encoding.cursor(cursor))

    def check(self, generation: int) -> None:
        """Check that the stream still has the history of that generation.

        Raises:
            Unavailable: The database has another history since.
        """
        if self.generation != generation:
            raise Unavailable("the database has another history since")

    def start_anew(self) -> None:
        """Reset all clients of relay.v1."""
        self.recent.forget()
        self._known.forget()
        self.generation += 1
        for group in list(self._groups.values()):
            for member in list(group.members):
                member.start_anew()

    def send(self, most_bytes: int, client_bytes: int) -> Sent | None:
        """Send one bounded step of the current round to subscribers that are caught up.

        Its frames and `client_bytes` per client are `most_bytes` at most, or it is one client.
        None when the round is over: all have had everything up to `flushed`."""
        while True:
            if not self._sending and not self._next_share():
                return None
            piece, group = self._piece, self._sending[-1]
            most = max(1, most_bytes // (len(piece.data) + client_bytes))
            clients = self._send_together(piece, most)
            if not clients and group.due:  # it may be another one of that number, which came later
                clients = group.send(piece, most)
            while self._sending and not self._sending[-1].due:
                self._sending.pop()
            if clients:
                return Sent(group.format, piece.frames, clients)

    def _send_together(self, piece: Piece, most: int) -> int:
        """Send to several small groups by one system call, where there are enough of them.

        Returns:
            The number of clients sent to; 0 if it is not worth it.
        """
        if len(self._sending) < FEWEST_BATCHED or (batch := self.batch()) is None:
            return 0
        clients: list[tuple[Group, Subscriber]] = []
        groups: list[Group] = []
        for group in reversed(self._sending):
            sockets = group.caught_up.few_sockets if group.due and piece.frames else None
            if sockets is None or len(clients) >= most:
                break
            batch.extend(sockets)
            clients += [(group, member) for member in group.sent_elsewhere(piece)]
            groups.append(group)
        for place, taken in batch.send(piece.data, 0, len(clients)) if clients else ():
            group, member = clients[place]
            group.caught_up.write(member, piece.data[taken:])
        for group in groups:
            group.sent_all(piece)
        return len(clients)

    def _next_share(self) -> bool:
        if self._shares is None and not self._begin_round():
            return False
        assert self._shares is not None  # noqa: S101 for mypy
        for bits, piece in self._shares:
            self._sending = [
                self._numbered[number] for number in numbers(bits) if number in self._numbered
            ]
            self._piece = piece
            if self._sending:
                return True
        self._shares = None
        self.flushed = self.sending_to
        return False

    def _begin_round(self) -> bool:
        start, cursor = self.flushed, -1 if self._cursors is None else self._cursors[0]
        if start == self.log.head or not any(self._caught_up.values()):
            self.flushed = self.sending_to = self.log.head
            return False
        if start == cursor:
            bits, stop = self._to_be_told(), start + 1
            self._shares = ((1 << number, self._cursor_of(number)) for number in numbers(bits))
        else:
            try:
                stop = self.log.piece_end(
                    start, cursor if cursor > start else self.log.head, MOST_BYTES
                )
            except Overflow:  # more came at once than the log holds
                self._leave_all_behind()
                return False
            round = Round(self.log.entries(start, stop), self._caught_up, self._index)
            bits, stop = round.groups, start + round.count
            self._shares = iter(round)
        for number in numbers(bits):
            self._numbered[number].due = True
        self.sending_to = stop
        return True

    def _to_be_told(self) -> int:
        return union(bits for form, bits in self._caught_up.items() if form.format is Format.EVENTS)

    def _cursor_of(self, number: int) -> Piece:
        group = self._numbered.get(number)
        frame = b"" if group is None else self.cursor_at(self.flushed, group.wanted)
        return Piece(frame, 1 if frame else 0)

    def _leave_all_behind(self) -> None:
        for group in list(self._groups.values()):
            for member in list(group.caught_up):
                group.fall_behind(member)
        self.flushed = self.sending_to = self.log.head

    def _about(self, change: Change) -> Routing:
        now = None if change.record is None else self.columns.values(change.record)
        if self._picky:
            before = self._known.before(change, now)
        else:
            before = UNKNOWN if change.version > 1 else None
        if now is None:
            return DELETION
        about = Routing(now, before)
        if len(self._abouts) >= MOST_ABOUTS:
            self._abouts.clear()
        return self._abouts.setdefault(about, about)


def _may_lose_rows(group: Group) -> bool:
    return group.format is Format.EVENTS and not group.wanted.is_everything


class Hub:
    """The streams of all endpoints, whose logs share one byte budget."""

    def __init__(
        self,
        limits: LogLimits | None = None,
        seq: int = 0,
        changed: Callable[[Stream], None] = lambda stream: None,
        batch: Callable[[], Batch | None] = lambda: None,
        *,
        scope_column: str | None = None,
    ) -> None:
        limits = limits or LogLimits()
        self.budget: Final = Budget(limits.max_bytes)
        self._by_number = {
            each.number: Stream(
                each,
                limits,
                seq,
                changed,
                batch,
                budget=self.budget,
                scope_column=scope_column,
            )
            for each in ENDPOINTS
        }

    def __getitem__(self, endpoint: Endpoint) -> Stream:
        return self._by_number[endpoint.number]

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._by_number.values())

    @property
    def generation(self) -> int:
        """Counter of resets of all clients."""
        return sum(stream.generation for stream in self)

    def by_number(self, number: int) -> Stream:
        """The stream of the endpoint with that number."""
        return self._by_number[number]

    def seqs(self) -> Seqs:
        """The seq of each stream, by endpoint number."""
        return {number: stream.seq for number, stream in self._by_number.items()}

    def publish(self, changes: Iterable[Change]) -> None:
        """Publish each change on the stream of its endpoint."""
        for number, theirs in by_endpoint(changes).items():
            self._by_number[number].publish(theirs)
