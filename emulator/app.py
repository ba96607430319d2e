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

from emulator.identity import Keys

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
SERVICES = ("auth", "rest", "realtime", "storage", "functions", "graphql")


def create_app(keys: Keys, routes: Sequence[BaseRoute]) -> Starlette:
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
        Route("/{service}/v1{rest:path}", _not_imitated, methods=METHODS),
        Route("/{rest:path}", _not_found, methods=METHODS),
    ]
    return Starlette(routes=[*routes, *own], middleware=[cors])


def _health(request: Request) -> Response:
    return JSONResponse({"name": "emulator", "description": "keys and tokens only, no sign-in"})


def _serve_jwks(keys: Keys) -> Any:
    body = keys.jwks()

    def jwks(request: Request) -> Response:
        return JSONResponse(body, headers={"Cache-Control": "public, max-age=600"})

    return jwks


def _not_imitated(request: Request) -> Response:
    if request.path_params["service"] not in SERVICES:
        return _not_found(request)
    what = f"{request.method} {request.url.path}"
    message = f"the emulator does not imitate {what}; emulator/README.md lists what it does"
    return JSONResponse({"code": "not_imitated", "message": message}, status_code=501)


def _not_found(request: Request) -> Response:
    return JSONResponse({"message": "no Route matched with those values"}, status_code=404)
