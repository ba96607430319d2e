"""What routes take and answer: bodies and query parameters, within limits, and their OpenAPI."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar

from fastapi import Path, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from relay.errors import Refused
from relay.stream.change import STAMPS, Endpoint

MAX_BODY_BYTES: Final = 4096
MAX_NOTES: Final = 2000
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
BODY_SECONDS: Final = 10
_REFUSALS: Final = {
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


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain the character NUL")
    return text


Id = Annotated[int, Path(ge=1, le=2**63 - 1)]
Text = Annotated[str, AfterValidator(_without_nul)]
Notes = Annotated[Text | None, Field(max_length=MAX_NOTES)]


class Problem(BaseModel):
    """Why a request was not carried out, and what to do about it."""

    detail: str


class Body(BaseModel):
    """A body that says what is known and nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Noted(Body):
    """A decision with notes."""

    notes: Notes = None


M = TypeVar("M", bound=BaseModel)


def notes(body: bytes) -> str | None:
    """The notes of a decision; the body may be empty, `{}` or `{"notes": "..."}`.

    Raises:
        Refused: 400 when it is not JSON, 422 when it is something else.
    """
    if not body.strip():
        return None
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise Refused(400, f"the body is not JSON: {exc}") from exc
    if not isinstance(content, dict):
        raise Refused(422, 'the body must be a JSON object such as {"notes": "..."}')
    if unknown := sorted(content.keys() - {"notes"}):
        raise Refused(422, f"unknown in the body: {', '.join(unknown)}; only notes is known")
    text = content.get("notes")
    if text is None:
        return None
    if not isinstance(text, str) or len(text) > MAX_NOTES or not _storable(text):
        raise Refused(422, f"notes must be a text of at most {MAX_NOTES} characters")
    return text


def query(endpoint: Endpoint, parameters: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The REST parameters that select the newest rows of the endpoint, as a caller asked.

    Raises:
        Refused: 400 for an unknown parameter or value or a limit given twice, 422 for what no
            parameter of that name can be.
    """
    selected = {"select": "*", "order": "id.desc", "limit": str(DEFAULT_LIMIT)}
    given: dict[str, list[str]] = {}
    for name, value in parameters:
        given.setdefault(name, []).append(value)
    for name, texts in given.items():
        if name == "limit":
            if len(texts) > 1:
                raise Refused(400, "limit is given twice")
            selected["limit"] = str(_limit(texts[0]))
        elif name in endpoint.filters:
            selected[endpoint.filters[name].name] = _one_of(endpoint, name, texts)
        else:
            known = ", ".join([*endpoint.filters, "limit"])
            raise Refused(400, f"{endpoint.name} has no parameter {name!r}; there are: {known}")
    return selected


def without_stamps(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row as frontends know it."""
    return {name: value for name, value in row.items() if name not in STAMPS}


def _limit(value: str) -> int:
    digits = value.lstrip("0") if value.isascii() and value.isdigit() else ""
    if not 0 < len(digits) <= len(str(MAX_LIMIT)) or int(digits) > MAX_LIMIT:
        raise Refused(422, f"limit must be a whole number from 1 to {MAX_LIMIT}")
    return int(digits)


def _one_of(endpoint: Endpoint, name: str, texts: Sequence[str]) -> str:
    values = texts if len(texts) > 1 else texts[0].split(",")
    known = endpoint.filters[name].values
    if known is not None and (bad := [word for word in values if word not in known]):
        raise Refused(400, f"{name} cannot be {bad[0]!r}; it is one of: {', '.join(sorted(known))}")
    if not all(map(_storable, texts)):
        raise Refused(422, f"{name} has characters that no row can have")
    return f"in.({','.join(map(_quoted, values))})"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _storable(text: str) -> bool:
    """Whether PostgreSQL can hold the text: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


async def body_of(request: Request, most: int = MAX_BODY_BYTES) -> bytes:
    """Return the body of the request.

    Raises:
        Refused: It is too large, or does not come in time.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise Refused(413, f"the body is larger than {most} bytes")
    except TimeoutError as exc:
        raise Refused(408, f"the body did not come within {BODY_SECONDS} s") from exc
    return bytes(body)


def parsed(model: type[M], body: bytes) -> M:
    """The body as the model.

    Raises:
        Refused: 400 when it is not JSON, 422 when it does not fit the model.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as exc:
        problems = exc.errors(include_url=False, include_context=False, include_input=False)
        if problems[0]["type"] == "json_invalid":
            raise Refused(400, f"the body is not JSON: {problems[0]['msg']}") from exc
        raise Refused(422, "; ".join(map(_described, problems))) from exc


def _described(problem: Any) -> str:
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg']}" if place else str(problem["msg"])


def answers(*more: int) -> dict[int | str, dict[str, Any]]:
    """Describe the refusals that every route may answer with, and `more` of them."""
    return {
        status: {"model": Problem, "description": _REFUSALS[status]}
        for status in sorted({*_ALWAYS, *more})
    }


def described(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """Describe a body of this model."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": required, "content": content}}


def parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Describe the query parameters of a list."""
    described = [_parameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT})]
    for name, column in endpoint.filters.items():
        text = "one value, or several with commas between; repeated: each is taken whole"
        schema = {"type": "string", **({"enum": sorted(column.values)} if column.values else {})}
        described.append(_parameter(name, schema) | {"description": text})
    return described


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}
