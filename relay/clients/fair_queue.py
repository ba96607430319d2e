"""Who is served next, where users take turns however much each of them asks for. Pure."""

from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class FairQueue(Generic[T]):
    """Items that wait, each for one user or for several; `most` are served at a time, `most_each`
    of them for one user."""

    def __init__(self, most: int, most_each: int) -> None:
        self._most: Final = most
        self._most_each: Final = most_each
        self._waiting: OrderedDict[str, dict[T, None]] = OrderedDict()  # who is next comes first
        self._users: dict[T, set[str]] = {}
        self._served = Counter[str]()

    def __len__(self) -> int:
        return len(self._users)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._users))

    def add(self, user: str, item: T) -> None:
        """The item waits for the user, behind what does already."""
        self._waiting.setdefault(user, {})[item] = None
        self._users.setdefault(item, set()).add(user)

    def discard(self, item: T) -> None:
        """The item waits for nobody any more."""
        for user in self._users.pop(item, ()):
            theirs = self._waiting[user]
            del theirs[item]
            if not theirs:
                del self._waiting[user]

    def take(self) -> tuple[str, T] | None:
        """The next item and the user that it counts for until `done`; None while there is none
        that may be served."""
        if self._served.total() >= self._most:
            return None
        for user, theirs in self._waiting.items():
            if self._served[user] < self._most_each:
                item = next(iter(theirs))
                self.discard(item)
                if user in self._waiting:
                    self._waiting.move_to_end(user)
                self._served[user] += 1
                return user, item
        return None

    def done(self, user: str) -> None:
        """One item that was taken for that user has been served."""
        self._served[user] -= 1
        if not self._served[user]:
            del self._served[user]
