"""What the switched-on faults do to open sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

from emulator.faults.registry import Fault, Faults
from emulator.tcp import Line

ABNORMAL = 1006  # the connection ends without a close frame


class Socket(Protocol):
    """An open WebSocket."""

    line: Line

    def end(self, code: int) -> None:
        """Close it with `code`, without waiting for the client."""


class Sockets:
    """The open sockets, which the faults are done to as soon as they change.

    `reset` and `close` are over when they have been done, unless they were given a time or a count;
    then they are also done to sockets that open later. `stall` and `half-open` hold those that are
    open when they begin.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._open: dict[Socket, None] = {}
        self._held: dict[int, tuple[Fault, list[Socket]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def open(self, socket: Socket) -> Iterator[None]:
        """A socket is open within the block."""
        self._open[socket] = None
        self._end_some()
        try:
            yield
        finally:
            del self._open[socket]

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Do what the faults say within the block."""
        loop = asyncio.get_running_loop()
        stop = self._faults.on_change(lambda: loop.call_soon_threadsafe(self.settle))
        try:
            yield
        finally:
            stop()
            if self._timer is not None:
                self._timer.cancel()
            for _, sockets in self._held.values():
                for socket in sockets:
                    socket.line.cut()

    def settle(self) -> None:
        """Do what the faults say now, and come back when one ends by time."""
        self._end_some()
        self._hold_some()
        if self._timer is not None:
            self._timer.cancel()
        if (end := self._faults.next_end()) is not None:
            later = asyncio.get_running_loop().call_later
            self._timer = later(max(0.001, end - self._faults.clock()), self.settle)

    def _end_some(self) -> None:
        for fault in self._faults.active("reset", "close"):
            for socket in [*self._open]:
                if socket.line.is_closing() or not self._faults.hit(fault):
                    continue
                _way(fault, socket)()
            if fault.until is None and fault.left is None:
                self._faults.stop(fault)

    def _hold_some(self) -> None:
        active = self._faults.active("stall", "half-open")
        for fault, sockets in [*self._held.values()]:
            if fault not in active:
                del self._held[fault.id]
                for socket in sockets:
                    socket.line.release() if fault.name == "stall" else socket.line.cut()
        for fault in active:
            if fault.id not in self._held:
                sockets = [socket for socket in self._open if self._faults.hit(fault)]
                self._held[fault.id] = fault, sockets
                for socket in sockets:
                    socket.line.hold()


def _way(fault: Fault, socket: Socket) -> Callable[[], None]:
    if fault.name == "reset":
        return socket.line.cut
    if fault.options["code"] == ABNORMAL:
        return socket.line.close
    return lambda: socket.end(fault.options["code"])
