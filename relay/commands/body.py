"""Bodies of requests: read within limits, and checked against a model."""

import asyncio
from typing import Any, Final, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from relay.commands.asked import MAX_BODY_BYTES
from relay.errors import Refused

BODY_SECONDS: Final = 10

M = TypeVar("M", bound=BaseModel)


async def body_of(request: Request, most: int = MAX_BODY_BYTES) -> bytes:
    """The body of the request, of at most so many bytes.

    Raises:
        Refused: it is too large, or does not come in time.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise Refused(413, f"the body is larger than {most} bytes")
    except TimeoutError as error:
        raise Refused(408, f"the body did not come within {BODY_SECONDS} s") from error
    return bytes(body)


def parsed(model: type[M], body: bytes) -> M:
    """The body as the model.

    Raises:
        Refused: 400 when it is not JSON, 422 when it does not fit the model.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        if problems[0]["type"] == "json_invalid":
            raise Refused(400, f"the body is not JSON: {problems[0]['msg']}") from error
        raise Refused(422, "; ".join(map(_said, problems))) from error


def described(model: type[BaseModel]) -> dict[str, Any]:
    """What the OpenAPI document says of a required body of this model."""
    schema = model.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _said(problem: Any) -> str:
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg']}" if place else str(problem["msg"])
