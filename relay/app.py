"""The ASGI application: everything that the relay owns lives from start-up to shutdown of it."""

from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from relay.settings import Settings

WEB = Path(__file__).parent / "web"


def create_app(settings: Settings, *, on_failure: Callable[[str], None]) -> FastAPI:
    """An application that opens nothing until it starts; calls `on_failure` when a part died."""
    app = FastAPI(title="Hotspot Relay", docs_url=None, redoc_url=None)
    app.state.settings = settings
    app.mount("/web", StaticFiles(directory=WEB), name="web")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(WEB / "index.html")

    return app
