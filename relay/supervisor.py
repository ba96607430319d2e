"""Several relays on one machine and port, each a process with its own upstream.

Each has a listening socket of its own, among which the kernel shares connections out. The sockets
belong to the parent, so that who connects while a relay is started again waits and is not refused.
"""

import asyncio
import ctypes
import logging
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from typing import Final

logger = logging.getLogger(__name__)

STOP_SECONDS: Final = 10.0
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 30.0
WELL_AFTER_SECONDS: Final = 30.0
_PR_SET_PDEATHSIG: Final = 1


def run(listeners: Sequence[socket.socket]) -> int:
    """Keep a relay process per listening socket until a signal; return the exit status."""
    return asyncio.run(_Supervisor(listeners).run())


def end_with_parent() -> None:
    """Let the kernel send SIGTERM to this process when its parent is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class _Supervisor:
    def __init__(self, listeners: Sequence[socket.socket]) -> None:
        self._listeners = listeners
        self._processes: dict[int, Process] = {}
        self._stopped_by: signal.Signals | None = None

    async def run(self) -> int:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()

        def stop(by: signal.Signals) -> None:
            self._stopped_by = self._stopped_by or by
            stopping.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, number)
        keeping = [
            asyncio.create_task(self._keep(number, listener), name=f"relay {number}")
            for number, listener in enumerate(self._listeners, start=1)
        ]
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait([stopped, *keeping], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        await self._stop(keeping)
        for task in keeping:
            if not task.cancelled() and (error := task.exception()) is not None:
                logger.critical("relays cannot be kept running", exc_info=error)
        return 1 if self._stopped_by is None else 128 + self._stopped_by

    async def _keep(self, number: int, listener: socket.socket) -> None:
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE_SECONDS
        while True:
            began = loop.time()
            process = self._processes[number] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "relay", "--listener", str(listener.fileno())),
                pass_fds=[listener.fileno()],
                start_new_session=True,  # Ctrl-C reaches it through this process
            )
            logger.info("relay process started relay=%d pid=%d", number, process.pid)
            status = await process.wait()
            if loop.time() - began > WELL_AFTER_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            logger.error(
                "relay process ended, restarting relay=%d status=%d seconds=%.0f",
                number,
                status,
                pause,
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _stop(self, keeping: Sequence[asyncio.Task[None]]) -> None:
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        running = [each for each in self._processes.values() if each.returncode is None]
        for process in running:
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.gather(*(process.wait() for process in running))
        except TimeoutError:
            for process in running:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
