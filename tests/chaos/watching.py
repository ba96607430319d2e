"""Runs the parts of a run beside it; whoever of them ends, ends the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def watched(parts: Mapping[str, Coroutine[Any, Any, object]]) -> AsyncIterator[None]:
    """The parts go on while the block is entered, and are cancelled at its end."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part, name=name) for name, part in parts.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
