"""Log lines about clients."""

import logging

import pytest

from relay.connections.access_log import LINES_PER_SECOND, AccessLog


def test_a_storm_is_counted_instead_of_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    access_log = AccessLog()
    for number in range(LINES_PER_SECOND + 100):
        access_log.connected(f"127.0.0.1:{number}", "alerts", "rows", "")
    access_log.disconnected("127.0.0.1:1", "alerts", "client closed with 1000", 5, 1.5)
    access_log.tick()
    assert len(caplog.messages) == LINES_PER_SECOND + 1
    assert caplog.messages[-1] == "more in the same second connected=100 disconnected=1"


def test_a_client_that_leaves_is_told_with_its_figures(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    AccessLog().disconnected("127.0.0.1:1", "alerts", "connection lost", 5, 1.54)
    assert caplog.messages == [
        (
            "disconnected client=127.0.0.1:1 endpoint=alerts reason='connection lost' messages=5"
            " seconds=1.5"
        )
    ]


def test_a_filter_cannot_write_lines_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    AccessLog().connected("127.0.0.1:1", "hotspots", "rows", "entity=a\nleft \x1b[31m")
    (line,) = caplog.messages
    assert line.endswith(r"format=rows filter='entity=a\nleft \x1b[31m'")


def test_refusals_are_sampled_and_leave_the_lines_of_clients(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    access_log = AccessLog()
    for number in range(1000):
        access_log.refused(f"127.0.0.1:{number}", "alerts", "pages of evil\n may not")
    access_log.connected("127.0.0.1:1", "alerts", "rows", "")
    access_log.tick()
    access_log.tick()
    refused, came, rest = caplog.messages
    assert refused == (
        r"refused client=127.0.0.1:0 endpoint=alerts reason='pages of evil\n may not'"
    )
    assert came.startswith("connected")
    assert rest == "more in the same second refused=999"
