"""The faults that can be switched on, and what each may be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


class InvalidFault(Exception):
    """An unknown fault or a bad option; the message says which."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a fault; `check` raises ValueError with the allowed values."""

    default: Any
    check: Callable[[Any], Any]


def number(low: float, high: float) -> Callable[[Any], Any]:
    """Numbers from `low` to `high`."""

    def check(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("a number")
        if not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return value

    return check


def whole(low: int, high: int) -> Callable[[Any], Any]:
    """Whole numbers from `low` to `high`."""

    def check(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return check


def one_of(*words: str) -> Callable[[Any], Any]:
    """One of `words`."""

    def check(value: Any) -> Any:
        if value not in words:
            raise ValueError(" or ".join(words))
        return value

    return check


def close_code(value: Any) -> Any:
    """A code that a close frame can carry, or 1006 for an end without such a frame."""
    sendable = (*range(1000, 1004), *range(1006, 1015), *range(3000, 5000))
    if isinstance(value, bool) or value not in sendable:
        raise ValueError("a close code: 1000 to 1003, 1006 to 1014, 3000 to 4999")
    return value


def name_or_none(value: Any) -> Any:
    """A name, or None for all."""
    if value is not None and not isinstance(value, str):
        raise ValueError("a name or null")
    return value


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of fault; `lasts`: when its count is reached it goes on for those that it met."""

    says: str
    options: Mapping[str, Option] = field(default_factory=dict)
    lasts: bool = False


_LANE = {
    "lane": Option("all", one_of("all", "postgres_changes", "broadcast")),
    "table": Option(None, name_or_none),
}
_PATH = {"path": Option(None, name_or_none), "method": Option(None, name_or_none)}

KINDS: Mapping[str, Kind] = {
    "withhold": Kind("changes are dropped without a word, and the socket stays", _LANE),
    "duplicate": Kind("each change is sent twice", _LANE),
    "reorder": Kind(
        "changes of different rows that were committed almost together change places",
        {**_LANE, "lane": Option("postgres_changes", one_of("postgres_changes"))},
    ),
    "delay": Kind(
        "changes come `by` seconds later", {**_LANE, "by": Option(1.0, number(0.001, 3600))}
    ),
    "reset": Kind("Realtime's sockets are reset (RST)"),
    "close": Kind(
        "Realtime's sockets are closed with `code`",
        {"code": Option(1012, close_code)},
    ),
    "stall": Kind("Realtime's sockets neither read nor write, and then go on", lasts=True),
    "half-open": Kind(
        "nothing more passes over Realtime's sockets, and no end is told", lasts=True
    ),
    "refuse": Kind(
        "new Realtime sockets are answered with `status`, or reset when it is 0",
        {"status": Option(503, whole(0, 599))},
    ),
    "rest-error": Kind(
        "REST answers `status` with a JSON body", {**_PATH, "status": Option(500, whole(400, 599))}
    ),
    "rest-html": Kind(
        "REST answers `status` with HTML, as a gateway does",
        {**_PATH, "status": Option(502, whole(400, 599))},
    ),
    "rest-slow": Kind(
        "REST answers `by` seconds later", {**_PATH, "by": Option(1.0, number(0.001, 3600))}
    ),
    "rest-hang": Kind("REST does not answer while it lasts, and then resets", _PATH, lasts=True),
    "rest-reset": Kind("REST connections are reset before the request is executed", _PATH),
    "rest-lost": Kind("REST executes the request and resets instead of answering", _PATH),
    "terminate": Kind(
        "Realtime's connections to PostgreSQL are terminated: of `what` lane, or all",
        {"what": Option("poller", one_of("poller", "broadcast", "all"))},
    ),
    "postgres-kill": Kind("PostgreSQL is killed (-9), and starts again"),
    "postgres-stop": Kind("PostgreSQL is stopped, for a time, and started again", lasts=True),
}


def options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of fault `name`, those in `given` checked. Raises InvalidFault."""
    kind = KINDS.get(name)
    if kind is None:
        raise InvalidFault(f"there is no fault {name!r}; there are {', '.join(KINDS)}")
    if unknown := given.keys() - kind.options.keys():
        known = ", ".join(kind.options) or "nothing"
        raise InvalidFault(f"{name} does not take {', '.join(sorted(unknown))}; it takes {known}")
    chosen: dict[str, Any] = {}
    for key, option in kind.options.items():
        try:
            chosen[key] = option.check(given[key]) if key in given else option.default
        except ValueError as exc:
            raise InvalidFault(f"{key} of {name} is {given[key]!r}; it takes {exc}") from exc
    return chosen
