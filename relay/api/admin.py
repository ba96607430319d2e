"""Cutting users off: for whoever holds the relay's own key."""

import json
import secrets
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from relay.access.origins import Allows
from relay.api.openapi import answers
from relay.api.requests import body_of
from relay.api.routes import guarded
from relay.connections.authenticated import UserConnections
from relay.errors import Refused

MAX_ID_CHARACTERS: Final = 200
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"user": {"type": "string"}, "session": {"type": "string"}},
                    "additionalProperties": False,
                    "minProperties": 1,
                }
            }
        },
    }
}


def whom(body: bytes) -> dict[str, str]:
    """The `user`, the `session`, or both, whose connections have to end.

    Raises:
        Refused: 400 when it is not JSON, 422 when it names nobody.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise Refused(400, f"the body is not JSON: {exc}") from exc
    named = content if isinstance(content, dict) else {}
    if not named or named.keys() - {"user", "session"} or not all(map(_is_id, named.values())):
        raise Refused(422, 'the body must be {"user": "..."} or {"session": "..."}')
    return named


def router(register: UserConnections, key: str, allows: Allows) -> APIRouter:
    """The route that ends connections; `key` is what the caller has to bring."""
    routes = APIRouter(route_class=guarded(allows))

    async def disconnect(request: Request) -> JSONResponse:
        """End the connections of a user or session to this process, and say how many."""
        if not _holds(request.headers.get("authorization", ""), key):
            raise Refused(
                401, "`Authorization: Bearer` with the relay's own Supabase key is needed"
            )
        found = register.of(**whom(await body_of(request)))
        for connection in found:
            connection.revoke("revoked")
        return JSONResponse({"disconnected": len(found)})

    routes.add_api_route(
        "/admin/disconnect",
        disconnect,
        methods=["POST"],
        responses=answers(400, 408, 413),
        openapi_extra=_BODY,
    )
    return routes


def _holds(authorization: str, key: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and secrets.compare_digest(
        given.strip().encode(), key.encode()
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARACTERS
