"""A proxy that stalls the commit: before it reaches the server, or before its answer returns."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import httpx

COMMIT = "/rest/v1/rpc/commit_batch"
Where = Literal["before", "after", "nowhere"]


class Stall:
    """Forwards every request to `target`; the commit is held at `where` until the end.

    `reached` is set when a commit is held there. What was forwarded is carried through, also when
    the client has gone: so do gateways of hosted projects.
    """

    def __init__(self, target: str, where: Where, commit: str = COMMIT) -> None:
        self.reached = threading.Event()
        self._target = target
        self._where = where
        self._commit = commit
        self._released = threading.Event()
        stall = self

        class Request(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._forward()

            def do_POST(self) -> None:
                self._forward()

            def _forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer = stall.carry(self.command, self.path, dict(self.headers), body)
                if answer is None:
                    self.close_connection = True
                    return
                try:
                    self.send_response(answer.status_code)
                    self.send_header("Content-Type", answer.headers["Content-Type"])
                    self.send_header("Content-Length", str(len(answer.content)))
                    self.end_headers()
                    self.wfile.write(answer.content)
                except OSError:
                    self.close_connection = True  # the client was killed

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Request)
        self._thread = threading.Thread(target=self._server.serve_forever, name="stall")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def carry(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> httpx.Response | None:
        """Forward one request and give its answer, None when it is to be lost."""
        commits = path.partition("?")[0] == self._commit
        if commits and self._where == "before":
            self.reached.set()
            self._released.wait(60)
            return None
        kept = {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}
        answer = httpx.request(method, self._target + path, headers=kept, content=body, timeout=60)
        if commits and self._where == "after":
            self.reached.set()
            self._released.wait(60)
            return None
        return answer

    def break_off(self) -> None:
        """Close held connections without an answer, and hold nothing from now on."""
        self._where = "nowhere"
        self._released.set()

    @contextmanager
    def running(self) -> Iterator[Stall]:
        self._thread.start()
        try:
            yield self
        finally:
            self._released.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


HOP_BY_HOP = ("host", "content-length", "connection", "accept-encoding")
