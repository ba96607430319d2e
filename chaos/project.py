"""The emulated Supabase of a run, in a process of its own, and how it is told to misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from chaos.children import Child
from chaos.serving import READY
from emulator import keys_file
from emulator.faults.control import PATH

START_SECONDS = 40.0
LOOK_SECONDS = 0.05


@dataclass
class Told:
    """A fault that it was told to have, and is told again when it was started again; `hits` is
    known when it is over, and counts from its last start."""

    body: Mapping[str, Any]
    number: int | None = None
    hits: int = 0


class Project:
    """Serves the rows of `data`'s server on a port that stays the same."""

    def __init__(self, directory: Path, port: int) -> None:
        self._directory = directory
        self._port = port
        self._keys = directory / "keys.json"
        self._log = directory / "supabase.log"
        self._child: Child | None = None
        self._told: list[Told] = []
        self.url = f"http://127.0.0.1:{port}"
        self.secret = keys_file.load_or_create(self._keys).secret
        self._http = httpx.AsyncClient(
            base_url=self.url, headers={"apikey": self.secret}, trust_env=False, timeout=15.0
        )

    async def start(self, data: Path, *, rate_limit: float | None = None) -> None:
        """Serve; returns when it does."""
        arguments = ["-m", "chaos.serving", "--data", str(data), "--keys", str(self._keys)]
        arguments += ["--port", str(self._port)]
        arguments += [] if rate_limit is None else ["--rate-limit", str(rate_limit)]
        self._child = Child(tuple(arguments), {}, self._log)
        logged_before = self._log.stat().st_size if self._log.exists() else 0
        self._child.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._child.logged(READY, logged_before):
            if not self._child.runs or time.monotonic() > deadline:
                raise RuntimeError(f"Supabase does not start, see {self._log}")
            await asyncio.sleep(LOOK_SECONDS)
        for told in [*self._told]:
            await self._switch_on(told)

    async def stop(self) -> None:
        """End it in order."""
        if self._child is not None:
            await asyncio.to_thread(self._child.stop)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._child is not None:
            self._child.kill()

    async def close(self) -> None:
        """End it for good."""
        await self.stop()
        await self._http.aclose()

    @contextlib.asynccontextmanager
    async def fault(self, name: str, **options: Any) -> AsyncIterator[Told]:
        """Have one of its own faults while the block is entered."""
        told = Told({"name": name, **options})
        self._told.append(told)
        try:
            await self._switch_on(told)
            yield told
        finally:
            self._told.remove(told)
            if told.number is not None:
                with contextlib.suppress(httpx.HTTPError):
                    answer = await self._http.delete(f"{PATH}/{told.number}")
                    told.hits = answer.json().get("hits", 0)  # it may not be known any more

    async def reads(self) -> None:
        """Return when the database can be read through it again."""
        body = {"since": None, "epoch": None, "page": 1}
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await self._http.post("/rest/v1/rpc/changes_since", json=body)).is_success:
                    return
            await asyncio.sleep(LOOK_SECONDS)

    async def _switch_on(self, told: Told) -> None:
        told.number = None
        with contextlib.suppress(httpx.HTTPError):
            answer = await self._http.post(PATH, json=dict(told.body))
            answer.raise_for_status()
            told.number = answer.json()["id"]
