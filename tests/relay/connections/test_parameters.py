"""Queries: what is understood, and what is refused."""

import pytest

from relay.connections.admission import Parameters, parse_query
from relay.errors import BadParameter
from relay.stream.change import ALERTS, HOTSPOTS, RECOMMENDATIONS, Endpoint


def test_nothing_is_needed() -> None:
    found = parse_query(HOTSPOTS, "", resumable=True)
    assert (found.last, found.cursor) == (None, None)
    assert found.filter.matches({"severity": "info"})


def test_a_comma_means_or() -> None:
    wanted = parse_query(HOTSPOTS, "severity=warn,critical&status=active", resumable=False).filter
    assert wanted.matches({"severity": "critical", "status": "active"})
    assert not wanted.matches({"severity": "info", "status": "active"})
    assert not wanted.matches({"severity": "critical", "status": "resolved"})


def test_severity_of_an_alert_is_its_level() -> None:
    wanted = parse_query(ALERTS, "severity=warn", resumable=False).filter
    assert wanted.matches({"level": "warn"})
    assert not wanted.matches({"level": "info", "severity": "warn"})


def test_a_repeated_parameter_is_taken_whole_with_its_commas() -> None:
    def matching(query: str) -> set[str]:
        wanted = parse_query(HOTSPOTS, query, resumable=False).filter
        entities = ("Acme, Inc.", "Acme", " Inc.", "North")
        return {entity for entity in entities if wanted.matches({"entity": entity})}

    assert matching("entity=Acme%2C+Inc.&entity=North") == {"Acme, Inc.", "North"}
    assert matching("entity=Acme%2C+Inc.&entity=Acme%2C+Inc.") == {"Acme, Inc."}
    assert matching("entity=Acme%2C+Inc.") == {"Acme", " Inc."}
    many = "&".join(f"entity=SUP-{number}" for number in range(50))
    assert parse_query(HOTSPOTS, many, resumable=False).filter.matches({"entity": "SUP-49"})


def test_the_same_filter_written_differently_is_equal() -> None:
    one = parse_query(HOTSPOTS, "severity=warn,info&entity=A%20B", resumable=False)
    other = parse_query(HOTSPOTS, "entity=A+B&severity=info%2Cwarn,info", resumable=False)
    assert one.filter == other.filter
    assert hash(one.filter) == hash(other.filter)
    assert str(one.filter) == "entity=A B&severity=info,warn"


def test_a_cursor_is_taken_where_a_client_can_resume() -> None:
    assert parse_query(HOTSPOTS, "cursor=a.b&last=5", resumable=True) == Parameters(
        filter=parse_query(HOTSPOTS, "", resumable=True).filter, last=5, cursor="a.b"
    )


@pytest.mark.parametrize("resumable", [True, False])
@pytest.mark.parametrize("seq", ["12", "1.5", "-1", "x", ""])
def test_a_seq_beside_the_cursor_is_ignored_whatever_it_is(seq: str, resumable: bool) -> None:
    """Clients of before bring one."""
    assert parse_query(HOTSPOTS, f"last=5&seq={seq}", resumable=resumable) == parse_query(
        HOTSPOTS, "last=5", resumable=resumable
    )


@pytest.mark.parametrize(
    ("endpoint", "query"),
    [
        (HOTSPOTS, "colour=red"),
        (ALERTS, "status=active"),
        (RECOMMENDATIONS, "severity=info"),
        (HOTSPOTS, "severity="),
        (HOTSPOTS, "severity=info,,warn"),
        (HOTSPOTS, "severity=high"),
        (HOTSPOTS, "severity=info,High"),
        (HOTSPOTS, "severity=info&severity=warn,critical"),
        (HOTSPOTS, "status=pending"),
        (ALERTS, "severity=error"),
        (RECOMMENDATIONS, "status=active"),
        (HOTSPOTS, "entity=a&entity="),
        (HOTSPOTS, "last=1&last=2"),
        (HOTSPOTS, "cursor=a&cursor=b"),
        (HOTSPOTS, "last=1001"),
        (HOTSPOTS, "last=-1"),
        (HOTSPOTS, "last=ten"),
        (HOTSPOTS, "last=\u0661"),
        (HOTSPOTS, "last="),
        (HOTSPOTS, "entity=%ff"),
        (HOTSPOTS, "entity=" + "x" * 201),
        (HOTSPOTS, "entity=" + ",".join(map(str, range(51)))),
        (HOTSPOTS, "cursor=" + "x" * 4097),
        (HOTSPOTS, "&".join(f"x{n}=1" for n in range(40))),
    ],
)
def test_a_bad_parameter_is_refused(endpoint: Endpoint, query: str) -> None:
    with pytest.raises(BadParameter):
        parse_query(endpoint, query, resumable=True)


def test_bare_rows_cannot_be_resumed() -> None:
    with pytest.raises(BadParameter, match=r"relay\.v1"):
        parse_query(HOTSPOTS, "cursor=a.b", resumable=False)
