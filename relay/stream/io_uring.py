"""Sends the same bytes to many sockets by one system call, where the kernel offers io_uring.

Each send ends within the call: what a socket does not take at once comes back as unsent, and
nothing is left under way. Only those come back at all, so that a thousand subscribers that are
caught up cost nothing here. Numbers and layouts are those of the kernel's linux/io_uring.h.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import socket
import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import Final

ENTRIES: Final = 1024  # of the queue: so many sends for each call

_SETUP: Final = 425
_ENTER: Final = 426
_SUBMIT_ALL: Final = 1 << 7
_CAN_SKIP: Final = 1 << 11  # the feature of saying nothing about what succeeded
_SKIP_SUCCESS: Final = 1 << 6
_SEND: Final = 26
_FLAGS: Final = socket.MSG_DONTWAIT | socket.MSG_WAITALL | getattr(socket, "MSG_NOSIGNAL", 0)
_QUEUE_ENTRIES: Final = 0x10000000
_PARAMETERS: Final = struct.Struct("7I12x8IQ8IQ")
# Operation, flags, priority, socket, offset, address, length, flags of send, what comes back.
_ENTRY: Final = struct.Struct("BBHiQQIIQ24x")
_RESULT: Final = struct.Struct("QiI")
_ADDRESS, _LENGTH, _NUMBER = 16, 24, 32  # where they stand in an entry
_BYTES_AT: Final = bytes.__basicsize__ - 1  # where the characters of a bytes object begin


class Unusable(Exception):
    """io_uring is not available, or does not behave as relied on; the text says why."""


class Ring:
    """One pair of queues, used by one thread.

    Raises:
        Unusable: the kernel does not offer it, or forbids it.
    """

    def __init__(self, entries: int = ENTRIES) -> None:
        if not sys.platform.startswith("linux") or sys.implementation.name != "cpython":
            raise Unusable("it needs Linux and CPython")
        self._system = ctypes.CDLL(None, use_errno=True).syscall
        self._system.restype = ctypes.c_long
        parameters = ctypes.create_string_buffer(_PARAMETERS.size)
        struct.pack_into("III", parameters, 0, 0, 0, _SUBMIT_ALL)
        self._descriptor = self._system(_SETUP, entries, parameters)
        if self._descriptor < 0:
            raise Unusable(f"io_uring_setup: {os.strerror(ctypes.get_errno())}")
        found = _PARAMETERS.unpack(parameters)
        with contextlib.ExitStack() as undoing:
            undoing.callback(os.close, self._descriptor)
            if not found[5] & _CAN_SKIP:
                raise Unusable("the kernel is older than 5.17")
            self._map(found[0], found[1], found[7:16], found[16:25])
            undoing.pop_all()

    def _map(self, entries: int, results: int, sending: Sequence[int], done: Sequence[int]) -> None:
        self.entries = entries
        self.closed = False
        size = max(sending[6] + entries * 4, done[5] + results * _RESULT.size)
        try:
            self._queues = mmap.mmap(self._descriptor, size, mmap.MAP_SHARED)
            self._entries = mmap.mmap(
                self._descriptor, entries * _ENTRY.size, mmap.MAP_SHARED, offset=_QUEUE_ENTRIES
            )
        except OSError as exc:
            raise Unusable(f"its memory cannot be mapped: {exc}") from exc
        self._words = memoryview(self._queues)[: size // 4 * 4].cast("I")
        self._head, self._tail = sending[0] // 4, sending[1] // 4
        self._done_head, self._done_tail = done[0] // 4, done[1] // 4
        self._mask = self._words[sending[2] // 4]
        self._done_mask = self._words[done[2] // 4]
        self._results_at = done[5]
        for number in range(entries):  # each place of the queue has the entry of the same number
            self._words[sending[6] // 4 + number] = number

    def close(self) -> None:
        """Give it back to the kernel; nothing can be submitted any more."""
        self.closed = True
        self._words.release()
        self._queues.close()
        self._entries.close()
        os.close(self._descriptor)

    def submit(self, entries: memoryview) -> Iterator[tuple[int, int]]:
        """Do what the entries say, no more of them than the queue has; of those that failed the
        number that they carry, and the bytes sent or an error's number below zero."""
        count = len(entries) // _ENTRY.size
        tail = self._words[self._tail]
        begin = (tail & self._mask) * _ENTRY.size
        first = min(len(entries), self.entries * _ENTRY.size - begin)
        self._entries[begin : begin + first] = entries[:first]
        self._entries[: len(entries) - first] = entries[first:]
        self._words[self._tail] = (tail + count) & 0xFFFFFFFF
        self._enter(count)
        taken = (self._words[self._head] - tail) & 0xFFFFFFFF
        yield from self._failed()
        if taken < count:  # for want of memory
            self._words[self._tail] = self._words[self._head]
            for place in range(taken, count):
                yield _ENTRY.unpack_from(entries, place * _ENTRY.size)[8], -errno.EAGAIN

    def _enter(self, count: int) -> None:
        while self._system(_ENTER, self._descriptor, count, 0, 0, None, 0) < 0:
            if ctypes.get_errno() != errno.EINTR:
                return  # what was not taken is found by the head of the queue

    def _failed(self) -> Iterator[tuple[int, int]]:
        head, tail = self._words[self._done_head], self._words[self._done_tail]
        while head != tail:
            at = self._results_at + (head & self._done_mask) * _RESULT.size
            number, result, _ = _RESULT.unpack_from(self._queues, at)
            yield number, result
            head = (head + 1) & 0xFFFFFFFF
        self._words[self._done_head] = head


class SocketBatch:
    """Sockets in an order, which are sent the same bytes; see `relay.stream.fan_out.Batch`."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._entries = bytearray()

    def append(self, descriptor: int) -> None:
        place = len(self._entries) // _ENTRY.size
        self._entries += _ENTRY.pack(_SEND, _SKIP_SUCCESS, 0, descriptor, 0, 0, 0, _FLAGS, place)

    def swap(self, one: int, other: int) -> None:
        entries, first, second = self._entries, one * _ENTRY.size, other * _ENTRY.size
        kept = entries[first : first + _ENTRY.size]
        entries[first : first + _ENTRY.size] = entries[second : second + _ENTRY.size]
        entries[second : second + _ENTRY.size] = kept
        struct.pack_into("Q", entries, first + _NUMBER, one)
        struct.pack_into("Q", entries, second + _NUMBER, other)

    def pop(self) -> None:
        del self._entries[-_ENTRY.size :]

    def extend(self, sockets: "SocketBatch") -> None:
        first = len(self._entries) // _ENTRY.size
        self._entries += sockets._entries
        for place in range(first, len(self._entries) // _ENTRY.size):
            struct.pack_into("Q", self._entries, place * _ENTRY.size + _NUMBER, place)

    def send(
        self, data: bytes, start: int = 0, stop: int | None = None
    ) -> Sequence[tuple[int, int]]:
        stop = len(self._entries) // _ENTRY.size if stop is None else stop
        if self._ring.closed:
            return [(place, 0) for place in range(start, stop)]
        count = stop - start
        address = array("Q", [id(data) + _BYTES_AT])
        length = array("I", [len(data)])
        with (
            memoryview(self._entries) as whole,
            whole[start * _ENTRY.size : stop * _ENTRY.size] as entries,
        ):
            entries.cast("Q")[_ADDRESS // 8 :: _ENTRY.size // 8] = memoryview(address * count)
            entries.cast("I")[_LENGTH // 4 :: _ENTRY.size // 4] = memoryview(length * count)
            step = self._ring.entries * _ENTRY.size
            return [
                (place, max(0, result))  # an error is met again by who writes the rest
                for begin in range(0, len(entries), step)
                for place, result in self._ring.submit(entries[begin : begin + step])
            ]


def opened() -> Ring:
    """A ring that was tried.

    Raises:
        Unusable: It cannot be had, or does not what is relied on.
    """
    ring = Ring()
    with contextlib.ExitStack() as undoing:
        undoing.callback(ring.close)
        _try(ring)
        undoing.pop_all()
    return ring


def _try(ring: Ring) -> None:
    """Verify what the batch relies on: full, partial and no sends are reported correctly."""
    data = bytes(range(256)) * 4096
    with contextlib.ExitStack() as stack:
        ends = [stack.enter_context(end) for _ in range(2) for end in socket.socketpair()]
        for end in ends:
            end.settimeout(1.0)
        full, full_end, free, free_end = ends
        batch = SocketBatch(ring)
        batch.append(full.fileno())
        told = [*batch.send(data), *batch.send(data)]
        batch.append(free.fileno())
        told += batch.send(b"to the second one")
        (_, sent), *others = told or [(0, 0)]
        if others != [(0, 0), (0, 0)] or not 0 < sent < len(data):
            raise Unusable(f"it tells of other sends than were made: {told}")
        try:
            received = b"".join(_received(full_end, sent))
        except OSError as exc:
            raise Unusable("it sends less than it tells") from exc
        if received != data[:sent] or free_end.recv(100) != b"to the second one":
            raise Unusable("it sends something else")


def _received(end: socket.socket, count: int) -> Iterator[bytes]:
    while count > 0:
        piece = end.recv(count)
        count -= len(piece)
        yield piece
