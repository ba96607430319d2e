"""The comparison forgives renderings only, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.emulator.rest.lite.exchange import Answer, read, same

ANSWER = Answer(200, dict.fromkeys(("content-range", "location")), [{"a": 1}], [])
REFUSAL = {"code": "42501", "message": "no", "details": None, "hint": None}


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (9007199254740993, 9007199254740992, True),
        (0.5, "0.5", True),
        ("2026-01-02T01:04:05.6+00:00", "2026-01-02 01:04:05.6+00", True),
        ({"a": [1, "x"]}, {"a": [1, "x"]}, True),
        (5, 6, False),
        (0.5, "0.50001", False),
        ("5", 5, False),
        (1, True, False),
        (None, "", False),
        ("2026-01-02T01:04:05.6+00:00", "2026-01-02 01:04:05.7+00", False),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
    ],
)
def test_values(ours: Any, theirs: Any, expected: bool) -> None:
    assert same(ours, theirs) is expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, set()),
        ({"status": 201}, {"status"}),
        ({"body": [{"a": 2}]}, {"body"}),
        ({"body": REFUSAL}, {"body"}),
        ({"rows": [[1]]}, {"rows"}),
    ],
)
def test_each_difference_has_its_name(change: dict[str, Any], expected: set[str]) -> None:
    headers = dict.fromkeys(("content-type", "content-range", "content-location"))
    headers |= dict.fromkeys(("content-profile", "location", "preference-applied"))
    answer = replace(ANSWER, headers=headers)
    assert answer.differs(replace(answer, **change)) == expected
    refused = replace(answer, body=REFUSAL)
    other = replace(refused, body=REFUSAL | {"code": "42502", "hint": "x"})
    assert refused.differs(other) == {"code", "hint"}


def test_a_line_is_a_request() -> None:
    line = 'user POST /plants?select=id ;; Prefer: return=minimal ;; {"a": 1}'
    (request,) = read(f"# comment\n\n{line}\n")
    assert (request.role, request.method, request.path) == ("user", "POST", "/plants?select=id")
    assert (request.headers, request.body) == ({"Prefer": "return=minimal"}, '{"a": 1}')
    assert request.writes
