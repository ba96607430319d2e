"""Streams committed changes out of PostgreSQL into a bounded queue."""

from __future__ import annotations

import asyncio
import logging
import secrets
import struct
import time
from collections.abc import AsyncIterator, Mapping

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import TupleRow

from emulator.realtime.pgoutput import POSTGRES_EPOCH_SECONDS, Message, decode
from emulator.realtime.values import SESSION

logger = logging.getLogger(__name__)

STATUS_SECONDS = 10.0  # wal_sender_timeout is 60 s
XLOG_HEADER_BYTES = 25


async def stream(
    dsn: str, publication: str, started: asyncio.Event, name: str
) -> AsyncIterator[Message]:
    """The messages of one temporary slot, until the connection ends.

    Sets `started` when every later commit will come. `name` is the connection's in PostgreSQL.
    Raises psycopg.Error, and ProtocolError.
    """
    conninfo = make_conninfo(
        dsn,
        replication="database",
        application_name=name,
        options=session_options(SESSION),
    )
    connection = await AsyncConnection.connect(conninfo, autocommit=True)
    try:
        slot = f"emulator_realtime_{secrets.token_hex(8)}"
        await connection.execute(
            f"CREATE_REPLICATION_SLOT {slot} TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT".encode()
        )
        wire = _Wire(connection)
        await wire.start(slot, publication)
        started.set()
        async for message in wire.messages():
            yield message
    finally:
        await connection.close()


def session_options(parameters: Mapping[str, str]) -> str:
    """The parameters in the form that libpq's `options` wants."""
    return " ".join(f"-c {name}={value}" for name, value in parameters.items())


class _Wire:
    """The COPY BOTH conversation, which psycopg has no interface for."""

    def __init__(self, connection: AsyncConnection[TupleRow]) -> None:
        self._pgconn: PGconn = connection.pgconn
        self._received = 0
        self._reported_at = time.monotonic()

    async def start(self, slot: str, publication: str) -> None:
        """Enter streaming; raises psycopg.OperationalError when the server refuses."""
        self._pgconn.send_query(
            f"START_REPLICATION SLOT {slot} LOGICAL 0/0"
            f" (proto_version '1', publication_names '\"{publication}\"')".encode()
        )
        while self._pgconn.is_busy():
            await self._more(STATUS_SECONDS)
        result = self._pgconn.get_result()
        if result is None or result.status != ExecStatus.COPY_BOTH:
            raise psycopg.OperationalError(self._pgconn.get_error_message())

    async def messages(self) -> AsyncIterator[Message]:
        """Decoded messages; each is reported as received once the next one is asked for."""
        while True:
            size, content = self._pgconn.get_copy_data(1)
            if size > 0:
                frame = bytes(content)
                if frame[:1] == b"w":
                    yield decode(frame[XLOG_HEADER_BYTES:])
                self._note(frame)
            elif size == 0:
                await self._more(STATUS_SECONDS)
            else:
                raise psycopg.OperationalError("the server ended the replication stream")
            if time.monotonic() - self._reported_at > STATUS_SECONDS:
                self._report()

    def _note(self, frame: bytes) -> None:
        """Remember how far the stream was taken in: a stopping server waits to hear it."""
        self._received = max(self._received, int.from_bytes(frame[1:9], "big"))
        if frame[:1] == b"k" and frame[17]:
            self._report()

    def _report(self) -> None:
        now = int((time.time() - POSTGRES_EPOCH_SECONDS) * 1_000_000)
        position = self._received
        self._pgconn.put_copy_data(struct.pack(">cqqqqb", b"r", *(position,) * 3, now, 0))
        self._pgconn.flush()
        self._reported_at = time.monotonic()

    async def _more(self, seconds: float) -> None:
        """Wait for data up to a timeout, and read what is there."""
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        # Only while waiting: the callback would run in every turn of the loop otherwise.
        loop.add_reader(self._pgconn.socket, readable.set)
        try:
            async with asyncio.timeout(seconds):
                await readable.wait()
        except TimeoutError:
            return
        finally:
            loop.remove_reader(self._pgconn.socket)
        self._pgconn.consume_input()
