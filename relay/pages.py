"""The page and the browser client: static files, and what the page has to know to sign users in."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.types import Scope

from relay.access.origins import Allows, cors
from relay.settings import Settings

HERE: Final = Path(__file__).parent
WEB: Final = HERE / "web"
# Installed it lies beside the page; in a checkout it is used where it is.
_CLIENTS: Final = (HERE / "client_js", HERE.parent / "clients" / "js" / "src")
CLIENT: Final = next(folder for folder in _CLIENTS if folder.is_dir())
# Revalidated each time: the modules of one version belong together.
_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
)
# By name and not by the system's list, in which .ts is a film.
_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".js": "text/javascript; charset=utf-8",
        ".ts": "application/typescript; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".svg": "image/svg+xml",
        ".json": "application/json",
    }
)


def add_pages(app: FastAPI, settings: Settings, allows: Allows) -> None:
    """Add `/`, `/web/` and what they need to the application."""
    page_headers = {**_HEADERS, "Content-Security-Policy": content_policy(settings.project.url)}
    config = {
        "auth": "required" if settings.access.required else "off",
        "supabase_url": settings.project.url,
        "publishable_key": settings.project.publishable_key or None,  # public by its nature
    }

    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(WEB / "index.html", headers=page_headers)

    @app.get("/web/config.json", include_in_schema=False)
    async def page_config() -> JSONResponse:
        return JSONResponse(config, headers=dict(_HEADERS))

    app.mount("/web/client", _Files(CLIENT, allows), name="client")
    app.mount("/web", _Files(WEB, allows), name="web")


def content_policy(supabase_url: str) -> str:
    """What the page may load and connect to: this server, and Supabase Auth to sign users in."""
    parts = urlsplit(supabase_url)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            f"connect-src 'self' {parts.scheme}://{parts.netloc}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",  # nobody's page puts buttons over ours
        )
    )


class _Files(StaticFiles):
    """The files of the page, of which pages of allowed origins may import the client."""

    def __init__(self, folder: Path, allows: Allows) -> None:
        super().__init__(directory=folder)
        self._allows = allows

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or that it is as it was."""
        response = await super().get_response(path, scope)
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        allowed = origin is not None and self._allows(origin, headers.get("host", ""))
        response.headers.update({**_HEADERS, **cors(origin if allowed else None)})
        kind = _TYPES.get(Path(path).suffix)
        if kind is not None and "content-type" in response.headers:
            response.headers["content-type"] = kind
        return response
