"""Faults of REST, and the endpoint that switches faults on."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from emulator.database import Database
from emulator.faults import Faults
from emulator.running import Emulator
from tests.emulator.faults.conftest import is_reset

# A reset that the client meets while it still writes looks like an end to it.
RESET = (httpx.ReadError, httpx.RemoteProtocolError)


@pytest.fixture
def served(project: Database) -> Iterator[Emulator]:
    with Emulator.running(project) as emulator:
        yield emulator


@pytest.fixture
def faults(served: Emulator) -> Faults:
    return served.faults


@pytest.fixture
def rest(served: Emulator) -> Iterator[httpx.Client]:
    key = served.keys.secret
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=served.url, headers=headers, trust_env=False, timeout=60) as client:
        yield client


def reset_at(served: Emulator, request: str) -> bool:
    """Whether a request ends with a RST."""
    head, _, body = request.partition(" ;; ")
    lines = f"{head} HTTP/1.1\r\nHost: x\r\napikey: {served.keys.secret}\r\n"
    lines += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return is_reset(served.url, (lines + body).encode())


def count(served: Emulator) -> int:
    with psycopg.connect(served.dsn()) as connection:
        row = connection.execute("select count(*) from ticks").fetchone()
    assert row is not None
    return int(row[0])


def test_requests_fail_for_a_count_and_are_not_executed(
    served: Emulator, rest: httpx.Client, faults: Faults
) -> None:
    fault = faults.start("rest-error", count=2, status=503)
    statuses = [rest.post("/rest/v1/ticks", json={"id": n}).status_code for n in (1, 2, 3)]
    assert statuses == [503, 503, 201]
    assert (count(served), fault.hits) == (1, 2)


def test_a_gateway_answers_with_html(rest: httpx.Client, faults: Faults) -> None:
    with faults.during("rest-html"):
        answer = rest.get("/rest/v1/ticks")
        assert rest.get("/auth/v1/health").status_code == 200
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert "<html>" in answer.text
    assert rest.get("/rest/v1/ticks").json() == []


def test_only_one_path_and_method_fails(rest: httpx.Client, faults: Faults) -> None:
    with faults.during("rest-error", path="ticks", method="GET") as fault:
        assert rest.get("/rest/v1/others").status_code == 200
        assert rest.post("/rest/v1/ticks", json={"id": 1}).status_code == 201
        assert rest.get("/rest/v1/ticks").status_code == 500
    assert fault.hits == 1


def test_answers_come_later(rest: httpx.Client, faults: Faults) -> None:
    faults.start("rest-slow", by=0.3, count=1)
    began = time.monotonic()
    assert rest.get("/rest/v1/ticks").json() == []
    assert time.monotonic() - began >= 0.3


def test_no_answer_comes_and_the_client_gives_up(rest: httpx.Client, faults: Faults) -> None:
    with faults.during("rest-hang"), pytest.raises(httpx.ReadTimeout):
        rest.get("/rest/v1/ticks", timeout=0.2)
    assert rest.get("/rest/v1/ticks").status_code == 200


def test_no_answer_comes_until_the_connection_is_reset(
    served: Emulator, rest: httpx.Client, faults: Faults
) -> None:
    faults.start("rest-hang", seconds=0.3, count=1)
    assert reset_at(served, "GET /rest/v1/ticks")
    faults.start("rest-hang", seconds=0.3, count=1)
    with pytest.raises(RESET):
        rest.get("/rest/v1/ticks")


@pytest.mark.parametrize(("name", "executed"), [("rest-reset", 0), ("rest-lost", 1)])
def test_the_connection_is_reset_before_or_after_the_work(
    served: Emulator, rest: httpx.Client, faults: Faults, name: str, executed: int
) -> None:
    faults.start(name, count=2)
    with pytest.raises(RESET):
        rest.post("/rest/v1/ticks", json={"id": 1})
    assert reset_at(served, 'POST /rest/v1/ticks ;; {"id": 2}')
    assert count(served) == 2 * executed
    assert rest.get("/rest/v1/ticks").status_code == 200


def test_faults_are_switched_over_http_and_say_what_they_did(
    served: Emulator, rest: httpx.Client
) -> None:
    started = rest.post("/emulator/faults", json={"name": "rest-error", "seconds": 30})
    assert started.status_code == 201
    fault = started.json()
    assert rest.get("/rest/v1/ticks").status_code == 500
    shown = rest.get("/emulator/faults").json()
    assert shown["faults"] == [{**fault, "hits": 1}]
    assert "withhold" in shown["kinds"]
    stopped = rest.delete(f"/emulator/faults/{fault['id']}").json()
    assert stopped == {**fault, "hits": 1, "ended": True}
    assert rest.get("/rest/v1/ticks").status_code == 200
    rest.post("/emulator/faults", json={"name": "rest-error"})
    assert all(f["ended"] for f in rest.delete("/emulator/faults").json()["faults"])
    assert rest.get("/rest/v1/ticks").status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not JSON"),
        (b"[]", 'the body is JSON like {"name": "withhold", "seconds": 5}'),
        (b'{"name": "x"}', "there is no fault 'x'"),
        (b'{"name": "reset", "self": 1}', "reset does not take self; it takes nothing"),
    ],
)
def test_what_cannot_be_switched_on_is_answered_with_the_reason(
    rest: httpx.Client, body: bytes, message: str
) -> None:
    answer = rest.post("/emulator/faults", content=body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(message)


def test_a_client_that_leaves_in_the_middle_of_its_request_is_no_error(
    served: Emulator, rest: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    place = urlsplit(served.url)
    with socket.create_connection((place.hostname or "", place.port or 0), 10) as connection:
        head = f"POST /emulator/faults HTTP/1.1\r\nHost: x\r\napikey: {served.keys.secret}\r\n"
        connection.sendall(f"{head}Content-Length: 90\r\n\r\n{{".encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert rest.get("/emulator/faults").json()["faults"] == []
    assert [record.getMessage() for record in caplog.records] == []


def test_faults_need_the_secret_key(served: Emulator) -> None:
    for key in ("", served.keys.publishable, served.keys.mint("service_role")):
        for method in ("GET", "POST", "DELETE"):
            answer = httpx.request(
                method,
                f"{served.url}/emulator/faults",
                headers={"apikey": key},
                trust_env=False,
                timeout=60,
            )
            assert answer.status_code == 401


def test_other_threads_may_switch_faults(served: Emulator, faults: Faults) -> None:
    def switch() -> None:
        for _ in range(200):
            with faults.during("stall"):
                faults.active("stall")

    threads = [threading.Thread(target=switch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults.active("stall") == []
    assert served.failure is None
