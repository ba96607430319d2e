"""Patches of the official Realtime client, for the one version that was read.

As shipped it notices a dead link after 50 s, takes proxies from the environment, refuses frames
over 1 MiB, reads faster than rows can be worked off, tries nine models on each message, and writes
each into two log lines that nobody reads, which takes four times as long as parsing it. None of
this can be set.
"""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Union, get_args

import websockets.asyncio.client
from pydantic import BaseModel, Field, TypeAdapter
from realtime import AsyncRealtimeClient, message
from realtime._async import client as module

from relay.dependency_checks import CLIENT

logger = logging.getLogger(__name__)

MAX_FRAME_BYTES: Final = 8 * 1024 * 1024


class PacedConnection(websockets.asyncio.client.ClientConnection):
    """Holds the next frame back, and with it the server, until there is `room`."""

    room: asyncio.Event | None = None

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        async for frame in super().__aiter__():
            yield frame
            if self.room is not None and not self.room.is_set():
                await self.room.wait()


def apply() -> bool:
    """Patch the client; false, with a warning, when it is not the one that was read."""
    if (trouble := CLIENT.trouble()) is not None:
        logger.warning("%s", trouble)
        return False
    setattr(  # noqa: B010 the module does not declare the name as something to assign
        module,
        "connect",
        functools.partial(
            websockets.asyncio.client.connect,
            ping_interval=5,
            ping_timeout=5,
            close_timeout=1,
            max_size=MAX_FRAME_BYTES,
            proxy=None,
            compression=None,
            create_connection=PacedConnection,
        ),
    )
    setattr(module, "ServerMessageAdapter", _adapter())  # noqa: B010
    return True


def pace(client: AsyncRealtimeClient, room: asyncio.Event) -> None:
    """Let a connected client read on only while `room` is set."""
    if isinstance(client._ws_connection, PacedConnection):
        client._ws_connection.room = room


def listening(client: AsyncRealtimeClient) -> asyncio.Task[None]:
    """The task that reads the client's socket; when it is done nothing arrives any more.

    Raises:
        RuntimeError: The client is not connected.
    """
    task = client._listen_task
    if task is None:
        raise RuntimeError("the client has no socket to listen on")
    return task


async def dispose(client: AsyncRealtimeClient) -> None:
    """Close the client within seconds and leave none of its tasks behind."""
    tasks = [task for task in (client._listen_task, client._heartbeat_task) if task is not None]
    for channel in client.get_channels():
        channel.rejoin_timer.reset()
        channel.join_push.destroy()
        tasks += channel._background_tasks
    try:
        async with asyncio.timeout(3):
            await client.close()
    except Exception as exc:  # noqa: BLE001 a client that is thrown away may fail as it likes
        logger.debug("Realtime client did not close in order error=%r", exc)
    finally:
        for channel in client.get_channels():
            channel.rejoin_timer.reset()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _adapter() -> TypeAdapter[Any]:
    models = tuple(_terse(model) for model in get_args(message.ServerMessage))
    either: Any = Union[models]  # noqa: UP007 there is no other way for a tuple
    return TypeAdapter(Annotated[either, Field(discriminator="event")])


def _terse(model: type[BaseModel]) -> type[BaseModel]:
    """The same model, without its values when it is written into a log line."""
    name = model.__name__
    return type(name, (model,), {"__repr__": lambda _: name, "__module__": __name__})
