"""Somebody's frontend: a page of an origin of its own that uses the client package as published."""

from __future__ import annotations

import functools
import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

from emulator.running import Emulator
from tests.relay.access.admission import token_of

HERE = Path(__file__).parent
CLIENT = HERE.parents[1] / "clients" / "js" / "src"
EXPIRED_EVERY = 5


class Tokens:
    """Tokens of one user that last `seconds`; each fifth one has expired before it is given."""

    def __init__(self, emulator: Emulator, seconds: int = 3600, *, flawless: bool = True) -> None:
        self.given = 0
        self._emulator = emulator
        self._seconds = seconds
        self._flawless = flawless
        self._numbers = itertools.count(1)

    def __call__(self) -> str:
        number = self.given = next(self._numbers)
        expired = not self._flawless and number % EXPIRED_EVERY == 0
        end = int(time.time()) + (-60 if expired else self._seconds)
        return token_of(self._emulator, exp=end, jti=uuid.uuid4().hex)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    token: Callable[[], str]
    thawed: threading.Event


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class _Handler(_Quiet):
    server: _Server

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == "/token":
            self._answer(self.server.token().encode(), "text/plain")
        elif path == "/freeze":
            self.server.thawed.wait()
            self.server.thawed.clear()
            self._answer(b"", "text/plain")
        elif path == "/":
            self._answer((HERE / "frontend.html").read_bytes(), "text/html; charset=utf-8")
        elif path.startswith("/client/") and (file := CLIENT / Path(path).name).is_file():
            self._answer(file.read_bytes(), "text/javascript; charset=utf-8")
        else:
            self.send_error(404)

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The origin under which the files of a folder are served."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        with _running(server):
            yield f"http://127.0.0.1:{server.server_port}"


@contextmanager
def _running(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


class Frontend:
    """The page at `url`; a tab that called its `freeze()` stands still until `thaw()`."""

    def __init__(self, server: _Server) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
        self._thawed = server.thawed

    def thaw(self) -> None:
        """Lets the tab go on that stands still."""
        self._thawed.set()

    def address(self, relay: str, **options: str | float) -> str:
        """The page's address for that relay and these options of the client."""
        return f"{self.url}/?{urlencode({'relay': relay, **options})}"


@contextmanager
def frontend(token: Callable[[], str]) -> Iterator[Frontend]:
    """The page, served, whose users have these tokens."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.token = token
        server.thawed = threading.Event()
        with _running(server):
            try:
                yield Frontend(server)
            finally:
                server.thawed.set()
