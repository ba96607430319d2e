"""Cutting users off: for whoever holds the relay's own key."""

import secrets
from typing import Annotated, Final

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field

from relay.access.origins import Allows
from relay.api.requests import Body, answers, body_of, described, parsed
from relay.api.routes import guarded
from relay.connections.authenticated import UserConnections
from relay.errors import Refused

MAX_ID_CHARACTERS: Final = 200

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARACTERS)]


class Whose(Body):
    """Whose connections have to end: those of a user, of a session, or what both have in common."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    user: Id = ""
    session: Id = ""


def whom(body: bytes) -> dict[str, str]:
    """Return the `user`, the `session`, or both, whose connections have to end.

    Raises:
        Refused: 400 when it is not JSON, 422 when it names nobody.
    """
    named = parsed(Whose, body).model_dump(exclude_unset=True)
    if not named:
        raise Refused(422, 'the body must be {"user": "..."} or {"session": "..."}')
    return named


def router(register: UserConnections, key: str, allows: Allows) -> APIRouter:
    """The route that ends connections; `key` is what the caller has to bring."""
    routes = APIRouter(route_class=guarded(allows))

    async def disconnect(request: Request) -> dict[str, int]:
        """End the connections of a user or session to this process, and say how many."""
        if not _holds(request.headers.get("authorization", ""), key):
            raise Refused(
                401, "`Authorization: Bearer` with the relay's own Supabase key is needed"
            )
        found = register.of(**whom(await body_of(request)))
        for connection in found:
            connection.revoke("revoked")
        return {"disconnected": len(found)}

    routes.add_api_route(
        "/admin/disconnect",
        disconnect,
        methods=["POST"],
        responses=answers(400, 408, 413),
        openapi_extra=described(Whose),
    )
    return routes


def _holds(authorization: str, key: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and secrets.compare_digest(
        given.strip().encode(), key.encode()
    )
