"""What the switched-on faults do to REST requests: an ASGI middleware."""

from __future__ import annotations

import asyncio

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emulator import wire
from emulator.faults.registry import Fault, Faults

PATH = "/rest/v1"
NAMES = ("rest-error", "rest-html", "rest-slow", "rest-hang", "rest-reset", "rest-lost")
LOOK_SECONDS = 0.05
PAGE = """<html>
<head><title>{status}</title></head>
<body>
<center><h1>{status}</h1></center>
<hr><center>cloudflare</center>
</body>
</html>
"""


class FaultyRest:
    """Stands before the application; requests other than to REST pass untouched."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PATH):
            for fault in self._faults.active(*NAMES):
                if _meets(fault, scope) and self._faults.hit(fault):
                    await self._do(fault, scope, receive, send)
                    return
        await self._app(scope, receive, send)

    async def _do(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        match fault.name:
            case "rest-slow":
                await asyncio.sleep(fault.options["by"])
                await self._app(scope, receive, send)
            case "rest-hang":
                await self._hang(fault, receive)
                await _cut(scope, receive)
            case "rest-reset":
                await _cut(scope, receive)
            case "rest-lost":
                await self._app(scope, receive, _nowhere)
                await _cut(scope, receive)
            case _:
                await _answer(fault)(scope, receive, send)

    async def _hang(self, fault: Fault, receive: Receive) -> None:
        gone = asyncio.create_task(_gone(receive))
        try:
            while fault in self._faults.active(fault.name) and not gone.done():
                await asyncio.wait({gone}, timeout=LOOK_SECONDS)
        finally:
            gone.cancel()


def _meets(fault: Fault, scope: Scope) -> bool:
    path, method = fault.options["path"], fault.options["method"]
    below = scope["path"].removeprefix(PATH).strip("/")
    return path in (None, below) and method in (None, scope["method"])


def _answer(fault: Fault) -> Response:
    status: int = fault.options["status"]
    if fault.name == "rest-html":
        return HTMLResponse(PAGE.format(status=status), status)
    body = {"code": "XX000", "details": None, "hint": None, "message": "a fault is switched on"}
    return JSONResponse(body, status)


async def _nowhere(message: Message) -> None:
    pass


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cut(scope: Scope, receive: Receive) -> None:
    """Reset the connection; the server has to notice before the request may end."""
    wire.http(scope).cut()
    await _gone(receive)
