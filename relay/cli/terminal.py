"""Output of the commands: changes in words, one line each, until nobody reads any more."""

import asyncio
import select
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

from relay.client import printable

LOOK_SECONDS = 0.25

T = TypeVar("T")


async def while_read(work: Coroutine[Any, Any, T]) -> T:
    """The result of the work.

    Raises:
        BrokenPipeError: Nobody reads standard output any more. Writing would tell as much, but
            there may be nothing to write for hours.
    """
    working = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({working}, timeout=LOOK_SECONDS))[0]:
            if _unread():
                raise BrokenPipeError
        return await working
    finally:
        working.cancel()
        await asyncio.wait({working})


def default_url(env: Mapping[str, str], scheme: str = "ws") -> str:
    """The address of a relay that was started on this machine with the same environment."""
    secure = "s" if env.get("RELAY_TLS_CERT") else ""
    host = env.get("HOST", "").strip()
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 all addresses of this machine
        host = "127.0.0.1"
    port = env.get("PORT", "").strip()
    return f"{scheme}{secure}://{f'[{host}]' if ':' in host else host}:{port or '8003'}"


def _unread() -> bool:
    try:
        output = select.poll()
        output.register(sys.stdout.fileno(), 0)  # errors alone
        return any(event & select.POLLERR for _, event in output.poll(0))
    except (OSError, ValueError, AttributeError):  # no descriptor, or no poll on this system
        return False


Record = Mapping[str, Any]
_TOLD_IN_MESSAGE: Final = ("resolved", "deescalated")


def describe(frame: Mapping[str, Any]) -> str:
    """Return one line about the change in `frame` that is safe to print."""
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
    ended = f" ({how.replace('_', ' ')})" if (how := record.get("resolution")) else ""
    figures = (
        f"{record['severity']} {record['status']}{ended} {record['entity']} {record['event_type']}"
        f" {record['percent_above']:+.1f} % ({record['predicted_co2']:.1f} kg CO2,"
        f" usually {record['baseline_co2']:.1f})"
    )
    return _because(figures, record.get("reason"))


def _alert(record: Record) -> str:
    text = f"{record['level']} {record['message']}"
    # The worker's own messages tell the reason; another writer's may not.
    if record.get("kind") not in _TOLD_IN_MESSAGE and record.get("reason", "") not in text:
        text = _because(text, record["reason"])
    return f"{text}{_of_hotspot(record)}{', acknowledged' if record['acknowledged'] else ''}"


def _recommendation(record: Record) -> str:
    saved, month = record["co2_reduction"], record.get("co2_reduction_month")
    text = f"{record['status']} {record['action']}"
    if saved is not None:
        monthly = "" if month is None else f", {month:,.1f} in 30 days"
        text += f" (saves {saved:,.1f} kg CO2{monthly})"
    return f"{_because(text, record.get('root_cause'))}{_of_hotspot(record)}"


def _because(text: str, reason: str | None) -> str:
    return f"{text}: {reason}" if reason else text


def _of_hotspot(record: Record) -> str:
    return f" (hotspot #{record['hotspot_id']})" if record.get("hotspot_id") else ""


_WORDS: Final[Mapping[str, Callable[[Record], str]]] = {
    "hotspots": _hotspot,
    "alerts": _alert,
    "recommendations": _recommendation,
}


def _time(frame: Mapping[str, Any]) -> str:
    return str(frame.get("changed_at", ""))[11:19]
