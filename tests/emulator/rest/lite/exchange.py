"""Requests as they are written down, and answers as they are compared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

ROLES = ("anon", "user", "nobody", "expired", "forged")
LINE = re.compile(rf"(?:({'|'.join(ROLES)}) )?([A-Z]+) (/\S*)(.*)")
HEADER = re.compile(r"([A-Z][A-Za-z-]+): (.*)")
HEADERS = (
    "content-type",
    "content-range",
    "content-location",
    "content-profile",
    "location",
    "preference-applied",
)
STAMP = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\S*")


@dataclass(frozen=True)
class Exchange:
    """One line of requests.txt."""

    line: str
    role: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: str | None

    @property
    def writes(self) -> bool:
        return self.method not in {"GET", "HEAD"}

    def send(self, http: httpx.Client, credentials: Mapping[str, str]) -> httpx.Response:
        headers = {"Content-Type": "application/json", **credentials, **self.headers}
        return http.request(self.method, self.path, headers=headers, content=self.body)


@dataclass(frozen=True)
class Answer:
    """What is compared of a response, and of the rows that it left behind."""

    status: int
    headers: Mapping[str, str | None]
    body: Any
    rows: list[Any]

    @classmethod
    def of(cls, response: httpx.Response, rows: list[Any]) -> Answer:
        headers = {name: response.headers.get(name) for name in HEADERS}
        return cls(response.status_code, headers, _content(response), rows)

    def differs(self, other: Answer) -> set[str]:
        """Names of what is not the same: status, headers, members of an error, body, rows."""
        found = {name for name in HEADERS if self.headers[name] != other.headers[name]}
        if self.status != other.status:
            found.add("status")
        if not same(self.rows, other.rows):
            found.add("rows")
        if is_error(self.body) and is_error(other.body):
            members = ("code", "message", "details", "hint")
            return found | {m for m in members if self.body[m] != other.body[m]}
        return found if same(self.body, other.body) else found | {"body"}


def read(text: str) -> Iterator[Exchange]:
    """The requests in `text`."""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        request, *rest = line.split(" ;; ")
        match = LINE.fullmatch(request)
        assert match is not None, line
        headers, body = {}, None
        for part in rest:
            if header := HEADER.fullmatch(part):
                headers[header[1]] = header[2]
            else:
                body = part
        yield Exchange(line, match[1] or "service", match[2], match[3], headers, body)


def is_error(body: object) -> bool:
    return isinstance(body, dict) and body.keys() == {"code", "message", "details", "hint"}


def same(ours: Any, theirs: Any) -> bool:
    """Whether two values are equal but for renderings in which the other one is known to differ.

    Those are numbers beyond what a double holds, decimal numbers as text, and the form of times.
    """
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, str) and isinstance(theirs, str) and STAMP.fullmatch(ours):
        return STAMP.fullmatch(theirs) is not None and _moment(ours) == _moment(theirs)
    number = isinstance(ours, int | float) and not isinstance(ours, bool)
    if number and isinstance(theirs, str):
        return _number(theirs) == float(ours)
    if number and isinstance(theirs, int | float) and not isinstance(theirs, bool):
        return float(ours) == float(theirs)
    return isinstance(ours, bool) == isinstance(theirs, bool) and bool(ours == theirs)


def _content(response: httpx.Response) -> Any:
    try:
        return json.loads(response.text)
    except ValueError:
        return response.text


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(re.sub(r"([+-]\d\d)$", r"\1:00", text))
