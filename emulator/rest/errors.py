"""Errors with the status and JSON body of PostgREST."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class ApiError(Exception):
    """An answer other than success; `details` may be any JSON value."""

    status: int
    code: str
    message: str
    details: Any = None
    hint: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"

    def body(self) -> bytes:
        """The JSON body, keys in the order the real server writes them."""
        return _json(code=self.code, details=self.details, hint=self.hint, message=self.message)

    def all_headers(self) -> list[tuple[str, str]]:
        """Headers of the answer, `Proxy-Status` (the only code that HEAD can carry) included."""
        return [("Proxy-Status", f"PostgREST; error={self.code}"), *self.headers]


@dataclass(eq=False)
class GatewayError(Exception):
    """A refusal of the gateway in front of PostgREST, whose bodies have another shape."""

    status: int
    message: str
    hint: str

    def body(self) -> bytes:
        return _json(message=self.message, hint=self.hint)


def _json(**members: Any) -> bytes:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", errors="replace"
    )


def unparsable(what: str, text: str, line: int, column: int, details: str) -> ApiError:
    """Return the error for a part of the query string that does not follow the grammar."""
    message = f'"failed to parse {what} ({text})" (line {line}, column {column})'
    return ApiError(400, "PGRST100", message, details)


def rpc_method(method: str) -> ApiError:
    return ApiError(405, "PGRST101", f"Cannot use the {method} method on RPC")


def invalid_body(message: str) -> ApiError:
    return ApiError(400, "PGRST102", message)


def invalid_range(details: str) -> ApiError:
    return ApiError(416, "PGRST103", "Requested range not satisfiable", details)


def out_of_bounds(offset: int, total: int) -> ApiError:
    return invalid_range(f"An offset of {offset} was requested, but there are only {total} rows.")


def put_filters() -> ApiError:
    message = "Filters must include all and only primary key columns with 'eq' operators"
    return ApiError(405, "PGRST105", message)


def unknown_schema(name: str, exposed: str) -> ApiError:
    hint = f"Only the following schemas are exposed: {exposed}"
    return ApiError(406, "PGRST106", f"Invalid schema: {name}", None, hint)


def unacceptable(media_types: Iterable[str]) -> ApiError:
    message = f"None of these media types are available: {', '.join(media_types)}"
    return ApiError(406, "PGRST107", message)


def not_embedded(name: str) -> ApiError:
    return ApiError(
        400,
        "PGRST108",
        f"'{name}' is not an embedded resource in this request",
        None,
        f"Verify that '{name}' is included in the 'select' query parameter.",
    )


def put_limit() -> ApiError:
    message = "limit/offset querystring parameters are not allowed for PUT"
    return ApiError(400, "PGRST114", message)


def put_mismatch() -> ApiError:
    return ApiError(400, "PGRST115", "Payload values do not match URL in primary key column(s)")


def not_single(rows: int) -> ApiError:
    return ApiError(
        406,
        "PGRST116",
        "Cannot coerce the result to a single JSON object",
        f"The result contains {rows} rows",
    )


def unsupported_method(method: str) -> ApiError:
    return ApiError(405, "PGRST117", f"Unsupported HTTP method: {method}")


def order_by_many(origin: str, target: str) -> ApiError:
    details = f"'{origin}' and '{target}' do not form a many-to-one or one-to-one relationship"
    return ApiError(400, "PGRST118", f"A related order on '{target}' is not possible", details)


def filter_on_embedded(name: str) -> ApiError:
    message = f"Bad operator on the '{name}' embedded resource"
    details = "Only is null or not is null filters are allowed on embedded resources"
    return ApiError(400, "PGRST120", message, details)


def invalid_preferences(preferences: Iterable[str]) -> ApiError:
    return ApiError(
        400,
        "PGRST122",
        "Invalid preferences given with handling=strict",
        f"Invalid preferences: {', '.join(preferences)}",
    )


def aggregates_not_allowed() -> ApiError:
    return ApiError(400, "PGRST123", "Use of aggregate functions is not allowed")


def too_many_affected(rows: int) -> ApiError:
    return ApiError(
        400,
        "PGRST124",
        "Query result exceeds max-affected preference constraint",
        f"The query affects {rows} rows",
    )


def invalid_path() -> ApiError:
    return ApiError(404, "PGRST125", "Invalid path specified in request URL")


def no_root_document() -> ApiError:
    return ApiError(404, "PGRST126", "Root endpoint metadata is disabled")


def max_affected_on_single() -> ApiError:
    return ApiError(
        400,
        "PGRST128",
        "Function must return SETOF or TABLE when max-affected preference is used"
        " with handling=strict",
    )


def unknown_relation(
    schema: str, origin: str, target: str, hint: str | None, suggestion: str | None
) -> ApiError:
    hinted = "" if hint is None else f" using the hint '{hint}'"
    return ApiError(
        400,
        "PGRST200",
        f"Could not find a relationship between '{origin}' and '{target}' in the schema cache",
        f"Searched for a foreign key relationship between '{origin}' and '{target}'{hinted}"
        f" in the schema '{schema}', but no matches were found.",
        suggestion,
    )


def ambiguous_relation(
    origin: str, target: str, candidates: list[dict[str, str]], remedies: str
) -> ApiError:
    return ApiError(
        300,
        "PGRST201",
        "Could not embed because more than one relationship was found for"
        f" '{origin}' and '{target}'",
        candidates,
        f"Try changing '{target}' to one of the following: {remedies}."
        " Find the desired relationship in the 'details' key.",
    )


def unknown_column(table: str, column: str) -> ApiError:
    message = f"Could not find the '{column}' column of '{table}' in the schema cache"
    return ApiError(400, "PGRST204", message)


def unknown_table(schema: str, table: str, similar: str | None) -> ApiError:
    return ApiError(
        404,
        "PGRST205",
        f"Could not find the table '{schema}.{table}' in the schema cache",
        None,
        None if similar is None else f"Perhaps you meant the table '{schema}.{similar}'",
    )


RETRY = (("Retry-After", "1"),)


def unreachable(details: str) -> ApiError:
    """The database cannot be connected to."""
    message = "Database connection error. Retrying the connection."
    return ApiError(503, "PGRST000", message, details, None, RETRY)


def client_lost(details: str) -> ApiError:
    """Return the error for a connection that was lost during a statement."""
    message = "Database client error. Retrying the connection."
    return ApiError(503, "PGRST001", message, details, None, RETRY)


def no_schema() -> ApiError:
    message = "Could not query the database for the schema cache. Retrying."
    return ApiError(503, "PGRST002", message, None, None, RETRY)


def pool_exhausted() -> ApiError:
    message = "Timed out acquiring connection from connection pool."
    return ApiError(504, "PGRST003", message)
