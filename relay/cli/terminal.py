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
