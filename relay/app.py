"""The ASGI application: everything that the relay owns lives from start-up to shutdown of it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.routing import WebSocketRoute

from relay import installed_version
from relay.access.origins import allowing
from relay.api import admin
from relay.api.routes import router
from relay.api.user_client import UserClient
from relay.connections.asgi import NO_ENDPOINT, Application, NoEndpoint
from relay.node import Relay
from relay.pages import add_pages
from relay.settings import Settings
from relay.stream.change import BY_NAME, ENDPOINTS

logger = logging.getLogger(__name__)


def create_app(settings: Settings, *, on_failure: Callable[[str], None]) -> FastAPI:
    """An application that opens nothing until it starts; calls `on_failure` when a part died."""
    allows = allowing(settings.server.allowed_origins)
    relay = Relay(settings, allows)
    behalf = UserClient(settings.project.url, settings.project.publishable_key)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(relay.run(), name="relay")
        running.add_done_callback(lambda task: _report(task, on_failure))
        async with behalf:
            yield
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    app = FastAPI(
        title="Hotspot Relay",
        version=installed_version(),
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.sockets = relay.sockets
    for endpoint in ENDPOINTS:
        app.router.routes.append(
            WebSocketRoute(
                f"/ws/{endpoint.name}", Application(relay.sockets, endpoint), name=endpoint.name
            )
        )
    app.router.routes.append(WebSocketRoute("/{path:path}", NoEndpoint(), name="no endpoint"))
    app.add_route("/ws/{name}", _not_upgraded, include_in_schema=False)
    local_token = None if settings.access.required else settings.access.local_token
    app.include_router(router(behalf, local_token=local_token, allows=allows))
    app.include_router(admin.router(relay.sockets.register, settings.project.key, allows))
    _add_health(app, relay)
    add_pages(app, settings, allows)
    return app


async def _not_upgraded(request: Request) -> Response:
    """Answer a plain GET of a WebSocket endpoint."""
    name = request.path_params["name"]
    if name not in BY_NAME:
        return PlainTextResponse(f"{NO_ENDPOINT}\n", 404)
    text = f"this is an endpoint of WebSockets: open it by ws:// or wss://, or GET /{name}\n"
    return PlainTextResponse(text, 426, {"Upgrade": "websocket", "Connection": "Upgrade"})


def _add_health(app: FastAPI, relay: Relay) -> None:
    # Load balancers ask with HEAD.
    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", responses={503: {"description": "not ready; `reasons` says why"}})
    async def readyz() -> JSONResponse:
        health: dict[str, Any] = relay.health()
        return JSONResponse(health, status_code=200 if health["ready"] else 503)

    @app.head("/metrics", include_in_schema=False)
    @app.get(
        "/metrics",
        response_class=PlainTextResponse,
        responses={200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        return Response(relay.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _report(task: asyncio.Task[Any], on_failure: Callable[[str], None]) -> None:
    if task.cancelled():
        return
    error = task.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    logger.critical("a part of the relay died", exc_info=error)
    on_failure(f"a part of the relay died: {error!r}")
