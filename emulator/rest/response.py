"""Builds status, headers and body from the result of the database."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

from emulator.rest import errors, ranges
from emulator.rest.request import Plan
from emulator.rest.statement import Answer

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Response:
    """A response to the caller."""

    status: int
    headers: Headers
    body: bytes = b""


def check(plan: Plan, answer: Answer) -> None:
    """Raise ApiError for a result that the caller did not want; the transaction is then undone."""
    if plan.method == "PUT" and answer.rows != 1:
        raise errors.put_mismatch()
    scalar = plan.function is not None and plan.function.returns in {"scalar", "row", "void"}
    if plan.format.form == "single" and answer.rows != 1 and not scalar:
        raise errors.not_single(answer.rows)
    limit = plan.preferences.max_affected
    affects = plan.method in {"PATCH", "DELETE"} or plan.function is not None
    if plan.preferences.strict and limit is not None and affects and answer.rows > limit:
        raise errors.too_many_affected(answer.rows)


def build(plan: Plan, answer: Answer) -> Response:
    """The response to a statement that succeeded.

    An offset beyond the counted rows is answered with all headers of a success.

    Raises:
        ApiError: A function has set `response.status` or `response.headers` to an invalid value.
    """
    if plan.function is not None:
        response = _of_call(plan, answer)
    elif plan.method in {"GET", "HEAD"}:
        response = _of_read(plan, answer)
    else:
        response = _of_write(plan, answer)
    return _overridden(response, answer)


def _of_read(plan: Plan, answer: Answer) -> Response:
    status, headers, body = _ranged(plan, answer)
    location = "/" + (plan.table.name if plan.table else "")
    if plan.canonical:
        location += f"?{plan.canonical}"
    headers.append(("Content-Location", location))
    headers += _content(plan) + _applied(plan)
    return Response(status, headers, body)


def _of_call(plan: Plan, answer: Answer) -> Response:
    status, headers, body = _ranged(plan, answer)
    headers += _applied(plan)
    if plan.function is not None and plan.function.returns == "void":
        return Response(204, headers)
    return Response(status, headers + _content(plan), body)


def _ranged(plan: Plan, answer: Answer) -> tuple[int, Headers, bytes]:
    first = plan.rows.offset
    status = ranges.status(first, answer.rows, answer.total)
    body = answer.body
    if status == 416:
        body = errors.out_of_bounds(first, answer.total or 0).body()
    rows = ranges.content_range(first, first + answer.rows - 1, answer.total)
    return status, [("Content-Range", rows)], body


def _of_write(plan: Plan, answer: Answer) -> Response:
    headers = _applied(plan)
    total = answer.rows if plan.preferences.counts else None
    if plan.method == "PATCH":
        headers.append(("Content-Range", ranges.content_range(0, answer.rows - 1, total)))
    elif plan.method != "PUT":
        headers.append(("Content-Range", ranges.content_range(1, 0, total)))
    if answer.location:
        pairs = json.loads(answer.location)
        listed = "&".join(f"{quote(key)}={quote(value)}" for key, value in pairs)
        headers.append(("Location", f"/{plan.table.name if plan.table else ''}?{listed}"))
    represents = plan.preferences.returning == "representation"
    status = _write_status(plan, answer, represents=represents)
    if represents:
        return Response(status, headers + _content(plan), answer.body)
    return Response(status, headers)


def _write_status(plan: Plan, answer: Answer, *, represents: bool) -> int:
    inserted = answer.inserted
    if plan.method == "POST":
        merged = plan.preferences.resolution == "merge-duplicates"
        return 200 if merged and inserted is not None and inserted <= 0 else 201
    if not represents:
        return 204
    return 201 if plan.method == "PUT" and (inserted or 0) > 0 else 200


def _content(plan: Plan) -> Headers:
    headers = [("Content-Type", plan.format.content_type)]
    if plan.profile is not None:
        headers.append(("Content-Profile", plan.profile))
    return headers


def _applied(plan: Plan) -> Headers:
    mutation = None if plan.table is None or plan.method in {"GET", "HEAD"} else plan.method
    keyed = plan.table is not None and bool(plan.table.primary_key)
    resolves = keyed or plan.query.on_conflict is not None
    applied = plan.preferences.applied(mutation=mutation, resolves=resolves)
    return [] if applied is None else [("Preference-Applied", applied)]


def _overridden(response: Response, answer: Answer) -> Response:
    status, headers = response.status, response.headers
    if answer.response_status is not None:
        if not answer.response_status.isdigit() or not 200 <= int(answer.response_status) <= 599:
            raise errors.ApiError(
                500, "PGRST112", "response.status guc must be a valid status code"
            )
        status = int(answer.response_status)
    if answer.response_headers is not None:
        added = _added(answer.response_headers)
        names = {name.lower() for name, _ in added}
        headers = [h for h in headers if h[0].lower() not in names] + added
    body = b"" if status in {204, 205, 304} else response.body
    return Response(status, headers, body)


def _added(text: bytes) -> Headers:
    try:
        entries = [pair for entry in json.loads(text) for pair in entry.items()]
        if not all(isinstance(value, str) for _, value in entries):
            raise TypeError
    except (ValueError, AttributeError, TypeError) as exc:
        raise errors.ApiError(
            500,
            "PGRST111",
            "response.headers guc must be a JSON array composed of objects"
            " with a single key and a string value",
        ) from exc
    return entries
