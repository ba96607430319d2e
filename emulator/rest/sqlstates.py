"""Maps errors of the database to those of PostgREST."""

from __future__ import annotations

import json
from collections.abc import Mapping

from psycopg import Error as DatabaseError
from psycopg import InterfaceError, OperationalError

from emulator.rest.errors import ApiError, client_lost

# SQLSTATE -> status; the longest prefix that is listed decides, everything else is 400.
STATUS_OF_SQLSTATE: Mapping[str, int] = {
    "08": 503,
    "09": 500,
    "0L": 403,
    "0P": 403,
    "21": 500,
    "23503": 409,
    "23505": 409,
    "25": 500,
    "25006": 405,
    "28": 403,
    "2D": 500,
    "38": 500,
    "39": 500,
    "3B": 500,
    "40": 500,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
    "53": 503,
    "53400": 500,
    "54": 500,
    "55": 500,
    "57": 500,
    "57P01": 503,
    "58": 500,
    "F0": 500,
    "HV": 500,
    "P0": 500,
    "P0001": 400,
    "XX": 500,
}


def answer_to(error: DatabaseError, role: str) -> ApiError:
    """The answer to `role`; `error` itself is raised when it is a mistake of this program."""
    code = error.sqlstate
    if code is None:
        if not isinstance(error, OperationalError | InterfaceError):
            raise error
        return client_lost(str(error))
    message = error.diag.message_primary or ""
    if code == "PGRST":
        return _dictated(message, error.diag.message_detail)
    status = _status(code, message, role)
    headers = (("WWW-Authenticate", "Bearer"),) if status == 401 else ()
    details, hint = error.diag.message_detail, error.diag.message_hint
    return ApiError(status, code, message, details, hint, headers)


def _status(code: str, message: str, role: str) -> int:
    if code == "42501":
        return 401 if role == "anon" else 403
    if code == "22023" and message.startswith("role") and message.endswith("does not exist"):
        return 401
    if code == "21000" and message.endswith("requires a WHERE clause"):
        return 400
    if code.startswith("PT"):
        return int(code[2:]) if code[2:].isdecimal() and 200 <= int(code[2:]) <= 599 else 500
    return STATUS_OF_SQLSTATE.get(code, STATUS_OF_SQLSTATE.get(code[:2], 400))


def _dictated(message: str, detail: str | None) -> ApiError:
    """The answer that a function sets with `raise sqlstate 'PGRST'`."""
    try:
        text, answer = json.loads(message), json.loads(detail or "")
        return ApiError(
            int(answer["status"]),
            str(text["code"]),
            str(text["message"]),
            text.get("details"),
            text.get("hint"),
            tuple((str(name), str(value)) for name, value in answer["headers"].items()),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return ApiError(
            500,
            "PGRST121",
            "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error",
            "DETAIL is missing in the RAISE statement"
            if detail is None
            else f"Invalid JSON value for MESSAGE: '{message}' or DETAIL: '{detail}'",
            "MESSAGE must be a JSON object with code and message, DETAIL one with status"
            " and headers.",
        )
