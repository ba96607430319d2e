"""The one web application: the parts' routes, the public key, and a clear answer for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from emulator.faults import Faults
from emulator.faults.requests import FaultyRest
from emulator.identity import Keys

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
SERVICES = ("auth", "rest", "realtime", "storage", "functions", "graphql")


def create_app(keys: Keys, routes: Sequence[BaseRoute], faults: Faults) -> Starlette:
    """The application with the parts' `routes`. Like a hosted project it serves any origin."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=METHODS,
        allow_headers=["*"],
        expose_headers=["Content-Range", "Content-Location", "Location", "Preference-Applied"],
        max_age=3600,
    )
    own = [
        Route("/auth/v1/health", _health),
        Route("/auth/v1/.well-known/jwks.json", _serve_jwks(keys)),
    ]
    # The handler also covers what the parts' routers do not find below their own paths.
    return Starlette(
        routes=[*routes, *own],
        middleware=[cors, Middleware(FaultyRest, faults=faults)],
        exception_handlers={404: _not_found},
    )


def _health(request: Request) -> Response:
    return JSONResponse({"name": "emulator", "description": "an emulated Supabase Auth"})


def _serve_jwks(keys: Keys) -> Any:
    def jwks(request: Request) -> Response:
        return JSONResponse(keys.jwks(), headers={"Cache-Control": "public, max-age=600"})

    return jwks


def _not_found(request: Request, error: Exception) -> Response:
    """Answer an unknown path, with a hint if hosted projects serve it."""
    path = request.url.path
    service, version = [*path.split("/"), "", ""][1:3]
    if service not in SERVICES or version != "v1":
        return JSONResponse({"message": "no Route matched with those values"}, status_code=404)
    what = f"{request.method} {path}"
    message = f"the emulator does not imitate {what}; emulator/README.md lists what it does"
    return JSONResponse({"code": "not_imitated", "message": message}, status_code=501)
