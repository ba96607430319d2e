"""Frames of relay.v1 in words, one line each, for terminals. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from relay.client import printable

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
