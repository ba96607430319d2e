"""Inputs of every kind that a client can send: good ones, broken ones, and rubbish."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from websockets.frames import Opcode

from tests.relay.raw import HEADERS, head

LETTERS: Final = "a0,&=%+;:/?#\"'\\{}[]<>\t\r\n\0\x7fäß€\u2028\U0001f600\ud800\udfff"
NAMES: Final = ("severity", "status", "entity", "last", "cursor", "seq", "token", "limit", "x", "")
VALUES: Final = (
    "critical",
    "info,warn",
    "active",
    "0",
    "1000",
    "1001",
    "-1",
    "9" * 30,
    "\u0661",
    "",
)
PATHS: Final = ("/ws/hotspots", "/ws/alerts", "/ws/x", "/", "//", "/ws/hotspots/", "/ws/%00", "*")
ROUTES: Final = (
    "/healthz", "/readyz", "/metrics", "/openapi.json", "/web/client.js", "/hotspots", "/alerts",
    "/recommendations", "/hotspots/scan", "/scans/{}", "/recommendations/{}/approve",
    "/recommendations/{}/reject", "/alerts/{}/acknowledge", "/hotspots/{}/resolve",
    "/admin/disconnect", "/web/{}", "/{}",
)  # fmt: skip
IDS: Final = (
    "1",
    "0",
    "-1",
    "9" * 40,
    "%00",
    "..%2f..",
    "%ff",
    "a",
    "1e9",
    "%F0%9F%98%80",
    "x" * 300,
)
MORE_HEADERS: Final = ("Origin", "Authorization", "Sec-WebSocket-Protocol", "Forwarded", "Cookie")
METHODS: Final = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "XYZ")


class Inputs:
    """Makes them up from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def text(self, most: int = 40) -> str:
        """Any text, halves of surrogate pairs included."""
        return "".join(self.random.choices(LETTERS, k=self.random.randrange(most)))

    def rubbish(self, most: int = 200) -> bytes:
        """Any bytes."""
        return self.random.randbytes(self.random.randrange(most))

    def mutated(self, good: bytes) -> bytes:
        """Something right with some of it changed, doubled, or left out."""
        data = bytearray(good)
        for _ in range(self.random.randrange(1, 4)):
            place = self.random.randrange(len(data) + 1)
            kind = self.random.randrange(4)
            if kind == 0 and place < len(data):
                data[place] = self.random.randrange(256)
            elif kind == 1:
                data[place:place] = self.rubbish(8)
            elif kind == 2:
                del data[place : place + self.random.randrange(1, 9)]
            else:
                data[place:place] = data[place : place + self.random.randrange(1, 30)]
        return bytes(data)

    def of(self, choices: Sequence[str]) -> str:
        """One of them, or any text."""
        return self.random.choice(choices) if self.random.random() < 0.8 else self.text()

    def query(self, cursors: Sequence[str] = ()) -> str:
        """The query of an endpoint."""
        if cursors and self.random.random() < 0.4:
            return f"cursor={self.cursor(cursors)}"
        pairs = [f"{self.of(NAMES)}={self.of(VALUES)}" for _ in range(self.random.randrange(4))]
        found = "&".join(pairs)
        return found if self.random.random() < 0.7 else self._escaped(found)

    def cursor(self, cursors: Sequence[str]) -> str:
        """A real cursor, one that was changed, or none at all."""
        good = self.random.choice(cursors)
        kind = self.random.randrange(4)
        if kind == 0:
            return good
        if kind == 1:
            return self.text()
        if kind == 2:
            body, _, signature = good.partition(".")
            other = self.random.choice(cursors).partition(".")[0]
            return self.random.choice((f"{other}.{signature}", body, f".{signature}", f"{body}."))
        return self.mutated(good.encode()).decode("latin-1")

    def handshake(self) -> bytes:
        """A whole request, more or less one that asks for a WebSocket."""
        headers = dict(HEADERS)
        for name in list(headers):
            if self.random.random() < 0.15:
                headers[name] = self._line()
        if self.random.random() < 0.5:
            headers[self.random.choice(MORE_HEADERS)] = self._line()
        path = self.random.choice(PATHS) + "?" + self._escaped(self.query())
        return head(path, {name: text or "x" for name, text in headers.items()})

    def frames(self) -> bytes:
        """A few frames, right and wrong ones."""
        return b"".join(self._frame() for _ in range(self.random.randrange(1, 5)))

    def message(self) -> bytes:
        """A message of relay.v1, or nearly one."""
        good = self.random.choice(
            (b'{"type":"ping"}', b'{"type":"auth","token":"a.b.c"}', b"[]", b"null", b"{}")
        )
        kind = self.random.randrange(5)
        if kind == 0:
            return good
        if kind == 1:
            return self.json().encode(errors="surrogatepass")
        if kind == 2:
            return b"[" * self.random.randrange(4090)
        return self.mutated(good) if kind == 3 else self.rubbish()

    def json(self, depth: int = 3) -> str:
        """JSON of any shape, with numbers and escapes that few expect."""
        leaf: list[Callable[[], str]] = [
            lambda: self.random.choice(("null", "true", "1e999", "-0", "9" * 50, "NaN", "0.1")),
            lambda: f'"{self.random.choice((chr(92) + "ud800", chr(92) + "u0000", "auth", "x"))}"',
        ]
        if depth == 0 or self.random.random() < 0.3:
            return self.random.choice(leaf)()
        if self.random.random() < 0.3:
            return f"[{','.join(self.json(depth - 1) for _ in range(self.random.randrange(3)))}]"
        names = ('"type"', '"token"', '"notes"', '"user"', '"session"', '"\\ud800"', '"x"')
        pairs = [
            f"{self.random.choice(names)}:{self.json(depth - 1)}"
            for _ in range(self.random.randrange(3))
        ]
        return f"{{{','.join(pairs)}}}"

    def request(self, authorizations: Sequence[str]) -> dict[str, Any]:
        """A request to the routes over HTTP, as httpx takes it."""
        path = self.random.choice(ROUTES).format(self.random.choice(IDS))
        headers = {"Authorization": self.random.choice(authorizations)}
        if self.random.random() < 0.3:
            headers["Origin"] = self.random.choice(
                ("https://evil.example", "null", "http://[", "x")
            )
        body = self.random.choice(
            (b"", self.json().encode(errors="surrogatepass"), self.rubbish(), b"x" * 5000)
        )
        query = self._escaped(self.query())
        return {
            "method": self.random.choice(METHODS),
            "url": f"{path}?{query}",
            "headers": headers,
            "content": body,
        }

    def _line(self) -> str:
        """What a header can carry, if only just."""
        found = self.random.choice(
            (self.text(), self.of(VALUES), "bearer.x, relay.v1", "websocket")
        )
        return "".join(each for each in found if each not in "\r\n\0" and ord(each) < 256)

    def _escaped(self, text: str) -> str:
        data = text.encode(errors="surrogatepass")
        safe = b"=&,." if self.random.random() < 0.9 else b""
        return "".join(
            chr(byte) if (chr(byte).isalnum() and byte < 128) or byte in safe else f"%{byte:02x}"
            for byte in data
        )

    def _frame(self) -> bytes:
        kind = self.random.randrange(3)
        if kind == 0:
            return self.rubbish()
        opcode = self.random.choice(list(Opcode))
        data = self.message()[:125] if self.random.random() < 0.5 else self.rubbish(130)
        fin, masked = self.random.random() < 0.7, self.random.random() < 0.95
        size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
        size = bytes([size[0] | masked << 7]) + size[1:]
        frame = bytes([fin << 7 | opcode]) + size + bytes(4 * masked) + data  # masked by zeros
        return frame if kind == 1 else self.mutated(frame)
