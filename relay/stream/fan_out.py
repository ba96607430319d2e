"""Fan-out of a part of the log: what each group gets, computed for all groups at once.

Groups that get the same share of each change form a class and are sent one and the same piece.
Classes begin with one per frame format and are split where a change is not for all of a class. The
cost grows with the classes, not with the groups: a thousand filters that let the same rows pass are
one class, and of those that let few pass most are in the class that gets nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from relay.stream.encoding import Format, FrameFormat, Piece, formed, joined
from relay.stream.filters import Index, union
from relay.stream.log import ANNOUNCEMENT, CURSOR_MARK, UNKNOWN, Routing

MOST_WORK: Final = 20_000  # classes looked at and parts copied in a round: some milliseconds
EVERYBODY: Final = -1


class Wanted(NamedTuple):
    """Bit sets of the groups that get a change, and of those that get LEAVE."""

    all: int
    leave: int


@dataclass(slots=True, eq=False)
class Share:
    """An equivalence class of groups: all of them get the same frames of the round.

    Attributes:
        form: Frame format.
        groups: Bit set of group numbers.
        parts: Per frame twice its number, plus 1 where LEAVE is sent instead of the change.
    """

    form: FrameFormat
    groups: int
    parts: list[int]


class Round:
    """A part of the log, divided into the shares of groups.

    Args:
        entries: Frames with what filters need to know of them.
        groups: Bit set of the groups to send to, by frame format.
        index: Tells which filters a change passes.

    It covers the first `count` entries: all of them, unless the groups differ too much.
    """

    def __init__(
        self,
        entries: Iterable[tuple[bytes, Routing]],
        groups: Mapping[FrameFormat, int],
        index: Index,
    ) -> None:
        self._frames: list[bytes] = []
        self._made: dict[tuple[FrameFormat, int], bytes] = {}
        shares = [Share(form, bits, []) for form, bits in groups.items() if bits]
        work = 0
        for number, (frame, about) in enumerate(entries):
            work += len(shares)
            if work > MOST_WORK and number:
                break
            self._frames.append(frame)
            if about is ANNOUNCEMENT:
                for share in shares:
                    if share.form.format is Format.EVENTS:
                        share.parts.append(2 * number)
            elif about is not CURSOR_MARK:  # of which there is a newer one
                shares, copied = _divided(shares, number, wanted(about, index))
                work += copied
        self._shares = [share for share in shares if share.parts]

    @property
    def count(self) -> int:
        """How many entries it has."""
        return len(self._frames)

    @property
    def groups(self) -> int:
        """Groups that get something, as bits."""
        return union(share.groups for share in self._shares)

    def __iter__(self) -> Iterator[tuple[int, Piece]]:
        """Yield bit sets of groups and their piece, each joined when it is its turn."""
        for share in self._shares:
            yield share.groups, joined(self._frame(share.form, part) for part in share.parts)

    def _frame(self, form: FrameFormat, part: int) -> bytes:
        made = self._made.get((form, part))
        if made is None:
            made = formed(self._frames[part // 2], form, leaves=part % 2 == 1)
            self._made[form, part] = made
        return made


def wanted(about: Routing, index: Index) -> Wanted:
    """Return which groups get a change."""
    if about.now is None:
        return Wanted(EVERYBODY, 0)
    passing = index.passed_by(about.now)
    if about.before is None:
        return Wanted(passing, 0)
    had = EVERYBODY if about.before is UNKNOWN else index.passed_by(about.before)
    return Wanted(passing, had & ~passing)


def _divided(shares: list[Share], number: int, wanted: Wanted) -> tuple[list[Share], int]:
    """Return the shares with one more frame, and the number of parts copied by splits."""
    found: list[Share] = []
    copied = 0
    for share in shares:
        groups = share.groups
        whole = groups & wanted.all
        leave = groups & wanted.leave if share.form.format is Format.EVENTS else 0
        if whole == groups:
            share.parts.append(2 * number)
            found.append(share)
        elif leave == groups:
            share.parts.append(2 * number + 1)
            found.append(share)
        elif not whole and not leave:
            found.append(share)
        else:
            for bits, more in (
                (whole, [2 * number]),
                (leave, [2 * number + 1]),
                (groups & ~(whole | leave), []),
            ):
                if bits:
                    found.append(Share(share.form, bits, share.parts + more))
                    copied += len(share.parts)
    return found, copied
