"""Frames of relay.v1 in words, one line each, for terminals. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from relay.close import CloseCode

Record = Mapping[str, Any]


def describe(frame: Mapping[str, Any]) -> str:
    """The change that `frame` tells, in one line that is safe to print."""
    match frame["type"]:
        case "DELETE":
            words = f"#{frame['old_record']['id']} deleted"
        case "LEAVE":
            words = f"#{frame['id']} no longer matches"
        case _:
            record = frame["record"]
            words = f"#{record['id']} {_WORDS[frame['table']](record)}"
    return printable(f"{_time(frame):8} {frame['type']:6} {frame['table']} {words}")


def printable(text: str) -> str:
    """The text without control characters, which rows may carry to play with a terminal."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def ending(code: int, reason: str) -> str:
    """Why a connection ended and whether coming back makes sense."""
    if code not in set(CloseCode):
        return printable(f"closed with {code} {reason}".strip())
    close = CloseCode(code)
    remedy = "come back later" if close.come_back else "do not come back unchanged"
    text = f"closed with {code}: {close.meaning} ({remedy})"
    return printable(f"{text}: {reason}" if reason else text)


def _hotspot(record: Record) -> str:
    return (
        f"{record['severity']} {record['status']} {record['entity']} {record['event_type']}"
        f" {record['percent_above']:+.1f} % ({record['predicted_co2']:.1f} kg CO2,"
        f" usually {record['baseline_co2']:.1f})"
    )


def _alert(record: Record) -> str:
    seen = " (acknowledged)" if record["acknowledged"] else ""
    return f"{record['level']} {record['message']}{seen}"


def _recommendation(record: Record) -> str:
    return f"{record['status']} {record['action']} (-{record['co2_reduction']:.1f} kg CO2)"


_WORDS: Final[Mapping[str, Callable[[Record], str]]] = {
    "hotspots": _hotspot,
    "alerts": _alert,
    "recommendations": _recommendation,
}


def _time(frame: Mapping[str, Any]) -> str:
    return str(frame.get("changed_at", ""))[11:19]
