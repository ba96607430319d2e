"""Commands and lists over HTTP: thin requests to Supabase under the caller's own token.

The result of a command comes back to everybody through the streams, like any other change.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from relay.access.origins import (
    Allows,
    cors,
    foreign,
    is_addressed_locally,
    is_embedded,
    is_foreign,
)
from relay.api.decisions import add_decisions
from relay.api.insights import add_insights
from relay.api.requests import Id, answers, parameters, query, without_stamps
from relay.api.user_client import TOKEN, UserClient
from relay.errors import Refused
from relay.stream.change import BY_NAME

RETRY_SECONDS = 5

Handler = Callable[[Request], Awaitable[Response]]


def router(behalf: UserClient, *, local_token: str | None, allows: Allows) -> APIRouter:
    """The routes of the commands and lists; `local_token` serves callers that bring none."""
    routes = APIRouter(route_class=guarded(allows))
    commands = _Commands(behalf, local_token)
    for method in ("POST", "GET"):
        routes.add_api_route(
            "/hotspots/scan",
            commands.request_scan,
            methods=[method],
            status_code=202,
            responses=answers(),
            include_in_schema=method == "POST",
        )
    routes.add_api_route("/scans/{id}", commands.scan, methods=["GET"], responses=answers(404))
    add_decisions(routes, behalf, commands.token_of)
    add_insights(routes, behalf, commands.token_of)
    for name in BY_NAME:
        routes.add_api_route(
            f"/{name}",
            commands.newest(name),
            methods=["GET"],
            name=f"newest {name}",
            responses=answers(400),
            openapi_extra={"parameters": parameters(BY_NAME[name])},
        )
    for path in {route.path for route in routes.routes if isinstance(route, APIRoute)}:
        routes.add_api_route(path, _preflight, methods=["OPTIONS"], include_in_schema=False)
    return routes


class _Commands:
    def __init__(self, behalf: UserClient, local_token: str | None) -> None:
        self._behalf = behalf
        self._local_token = local_token

    async def request_scan(self, request: Request, response: Response) -> Any:
        """Queue a scan, or name the one that is queued already."""
        if request.method == "GET" and is_embedded(request.headers):
            raise Refused(403, "an embedded image, link or form of another page starts no scan")
        scan = await self._behalf.call(self.token_of(request), "request_scan", {})
        response.headers["Location"] = f"/scans/{scan['id']}"
        return scan

    async def scan(self, request: Request, id: Id) -> Any:
        """State and counts of a scan."""
        rows = await self._behalf.rows(self.token_of(request), "scans", {"id": f"eq.{id}"})
        if not rows:
            raise Refused(404, f"scan {id} does not exist")
        return rows[0]

    def newest(self, name: str) -> Callable[[Request], Awaitable[Any]]:
        endpoint = BY_NAME[name]

        async def newest(request: Request) -> Any:
            """The newest rows that the caller may see."""
            selected = query(endpoint, request.query_params.multi_items())
            rows = await self._behalf.rows(self.token_of(request), name, selected)
            return [without_stamps(row) for row in rows]

        return newest

    def token_of(self, request: Request) -> str:
        """The caller's token, or the local one for a caller on this machine without any."""
        given = request.headers.get("authorization")
        if given is not None:
            scheme, _, token = given.partition(" ")
            if scheme.lower() != "bearer" or not TOKEN.fullmatch(token.strip()):
                raise Refused(401, "Authorization must be `Bearer` and a user's token")
            return token.strip()
        if self._local_token is None:
            raise Refused(
                401,
                "no token: send `Authorization: Bearer` with a user's token; where RELAY_AUTH is"
                " off, RELAY_LOCAL_TOKEN serves callers on this machine that bring none",
            )
        if not is_addressed_locally(request.headers.get("host", "")):
            raise Refused(
                403,
                "RELAY_LOCAL_TOKEN serves requests to localhost only: send"
                " `Authorization: Bearer` with a user's token",
            )
        return self._local_token


async def _preflight() -> Response:
    """Let browsers of allowed origins ask before they send."""
    return Response(status_code=204)


def guarded(allows: Allows) -> type[APIRoute]:
    """Wrap a route: refuse foreign origins, answer errors in one shape, add CORS headers."""

    class Guarded(APIRoute):
        def get_route_handler(self) -> Handler:  # type: ignore[override]
            handle = super().get_route_handler()

            async def answered(request: Request) -> Response:
                if is_foreign(request.headers, allows):
                    return _refuse(Refused(403, foreign(request.headers)))
                try:
                    response = await handle(request)
                except Refused as exc:
                    response = _refuse(exc)
                except RequestValidationError as exc:
                    response = _refuse(Refused(422, _validation(exc)))
                response.headers.update(cors(request.headers.get("origin")))
                return response

            return answered

    return Guarded


def _refuse(error: Refused) -> Response:
    detail = str(error).encode(errors="replace").decode()  # it may quote half a surrogate pair
    response = JSONResponse({"detail": detail}, error.status)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if error.status in (429, 503):
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _validation(error: RequestValidationError) -> str:
    return "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors())
