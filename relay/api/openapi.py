"""OpenAPI descriptions of responses, bodies and query parameters."""

from typing import Any, Final

from pydantic import BaseModel

from relay.api.requests import MAX_LIMIT
from relay.stream.change import Endpoint


class Problem(BaseModel):
    """Why a request was not carried out, and what to do about it."""

    detail: str


_SAID: Final = {
    400: "a parameter or the body has a bad value",
    401: "no token, or one that Supabase does not accept",
    403: "the token or the page may not do this",
    404: "there is no such row",
    408: "the body did not come in time",
    409: "the row was decided otherwise already",
    413: "the body is too large",
    422: "a value does not fit",
    429: "Supabase asks to slow down",
    502: "Supabase answered something unexpected",
    503: "Supabase cannot be reached, or the relay lacks a setting",
}
_ALWAYS: Final = (401, 403, 422, 429, 502, 503)
NOTES: Final = {
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"notes": {"type": ["string", "null"], "maxLength": 2000}},
                    "additionalProperties": False,
                }
            }
        },
    }
}


def answers(*more: int) -> dict[int | str, dict[str, Any]]:
    """The refusals that every route may answer with, and `more` of them."""
    return {
        status: {"model": Problem, "description": _SAID[status]}
        for status in sorted({*_ALWAYS, *more})
    }


def parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    """The query parameters of a list."""
    described: list[dict[str, Any]] = [
        _parameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT})
    ]
    for name, column in endpoint.filters.items():
        allowed = column.values
        text = "one value, or several with commas between; repeated: each is taken whole"
        schema = {"type": "string", **({"enum": sorted(allowed)} if allowed else {})}
        described.append(_parameter(name, schema) | {"description": text})
    return described


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}
