"""What callers may ask of the commands."""

import pytest

from relay.api.requests import notes, query
from relay.errors import Refused
from relay.stream.change import ALERTS, HOTSPOTS, RECOMMENDATIONS


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", None),
        (b" \n", None),
        (b"{}", None),
        (b'{"notes": null}', None),
        (b'{"notes": ""}', ""),
        (b'{"notes": "gr\xc3\xbcn"}', "grün"),
        (b'{"notes": "' + b"x" * 2000 + b'"}', "x" * 2000),
    ],
)
def test_notes_may_be_left_out_in_every_way(body: bytes, expected: str | None) -> None:
    assert notes(body) == expected


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"{", 400, "not JSON"),
        (b"\xff\xfe\xfd", 400, "not JSON"),
        (b"[" * 4000, 400, "not JSON"),
        (b"notes=yes", 400, "not JSON"),
        (b"[]", 422, "JSON object"),
        (b'"notes"', 422, "JSON object"),
        (b'{"note": "x"}', 422, "note;"),
        (b'{"notes": 1}', 422, "2000"),
        (b'{"notes": "' + b"x" * 2001 + b'"}', 422, "2000"),
        (b'{"notes": "\\u0000"}', 422, "2000"),
        (b'{"notes": "\\ud800"}', 422, "2000"),
    ],
)
def test_any_other_body_is_refused_with_a_reason(body: bytes, status: int, text: str) -> None:
    with pytest.raises(Refused, match=text) as refused:
        notes(body)
    assert refused.value.status == status


def test_lists_are_the_hundred_newest_unless_asked_otherwise() -> None:
    assert query(HOTSPOTS, []) == {"select": "*", "order": "id.desc", "limit": "100"}


def test_filters_become_quoted_lists_of_the_columns_values() -> None:
    given = [("severity", "warn,critical"), ("entity", 'a"b\\c,d(e)'), ("limit", "1000")]
    assert query(HOTSPOTS, given) == {
        "select": "*",
        "order": "id.desc",
        "limit": "1000",
        "severity": 'in.("warn","critical")',
        "entity": 'in.("a\\"b\\\\c","d(e)")',
    }
    assert query(ALERTS, [("severity", "info")])["level"] == 'in.("info")'


@pytest.mark.parametrize(
    "limit", ["0", "1001", "-1", "", "ten", "1.5", "\u0661", "000000100999", "9" * 5000]
)
def test_a_limit_is_a_number_from_1_to_1000(limit: str) -> None:
    with pytest.raises(Refused, match="1 to 1000") as refused:
        query(HOTSPOTS, [("limit", limit)])
    assert refused.value.status == 422


def test_a_parameter_that_an_endpoint_lacks_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(Refused, match=r"'colour'; there are: severity, limit") as refused:
        query(ALERTS, [("colour", "red")])
    assert refused.value.status == 400


def test_a_value_that_no_row_can_have_is_refused_with_those_that_exist() -> None:
    said = "'done'; it is one of: approved, implemented, pending"
    with pytest.raises(Refused, match=said) as refused:
        query(RECOMMENDATIONS, [("status", "pending,done")])
    assert refused.value.status == 400
    with pytest.raises(Refused, match="no row"):
        query(HOTSPOTS, [("entity", "a\0b")])


def test_a_repeated_parameter_is_taken_whole_as_on_the_websockets() -> None:
    selected = query(HOTSPOTS, [("entity", "Acme, Inc."), ("entity", "North")])
    assert selected["entity"] == 'in.("Acme, Inc.","North")'
    with pytest.raises(Refused, match="twice") as refused:
        query(HOTSPOTS, [("limit", "1"), ("limit", "2")])
    assert refused.value.status == 400
