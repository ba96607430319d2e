"""Made-up HTTP requests, as the bytes that go over the wire."""

from __future__ import annotations

from urllib.parse import quote

from tests.emulator.fuzz.words import ATTACKS, FUNCTIONS, MEDIA, PREFERENCES, TABLES, Words

AUTH = ["/signup", "/token", "/user", "/logout", "/admin/users", "/admin/users/x", "/settings"]


def rest(words: Words, keys: list[str]) -> bytes:
    """A request to REST: reading, writing or calling."""
    method = words.choice(("GET", "GET", "GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "ODD"))
    name = words.choice(TABLES) if words.random() < 0.9 else words.text()
    path = f"/rest/v1/{quote(name.encode('utf-8', errors='replace'), safe='')}"
    if words.random() < 0.3:
        path = f"/rest/v1/rpc/{words.choice(FUNCTIONS)}"
    wishes = words.sample(PREFERENCES, words.randrange(4))
    headers = {"Prefer": ",".join(["tx=rollback", *wishes])}
    if words.random() < 0.3:
        headers["Accept"] = words.choice(MEDIA)
    if words.random() < 0.2:
        headers["Range"] = words.choice(("0-1", "3-", "9-2", "x", "-", "0-99999999999999999999"))
    if words.random() < 0.1:
        name = words.choice(("Prefer", "Accept-Profile", "Content-Type", "Cookie", "X-Forwarded"))
        kept = f"{headers['Prefer']}," if name == "Prefer" else ""
        headers[name] = kept + _line(words.text())
    body = b""
    if method in {"POST", "PATCH", "PUT"}:
        rows = [words.row() for _ in range(words.randrange(1, 3))]
        body = words.json(rows if words.random() < 0.3 else rows[0])
    return encoded(words, method, f"{path}?{words.query()}", keys, headers, body)


def auth(words: Words, keys: list[str]) -> bytes:
    """A request to Auth; few passwords, since each costs time on purpose."""
    method = words.choice(("GET", "POST", "PUT", "DELETE"))
    kind = words.choice(("password", "refresh_token", "pkce", words.odd()))
    path = f"/auth/v1{words.choice(AUTH)}?grant_type={quote(kind, safe='')}"
    names = ("email", "data", "refresh_token", "id", "user_metadata", "role", "email_confirm")
    body = {name: words.value() for name in words.sample(names, words.randrange(4))}
    if words.random() < 0.05:
        body["password"] = words.text()
    return encoded(words, method, path, keys, {}, words.json(body))


def broadcast(words: Words, keys: list[str]) -> bytes:
    """A broadcast over HTTP: several messages, or one that the path names."""
    names = (words.text() if words.random() < 0.5 else word for word in ("talk", "said"))
    topic, event = names
    path, body = "/realtime/v1/api/broadcast", words.json(words.value())
    if words.random() < 0.5:
        private = words.choice(("true", "false", words.text()))
        place = (quote(name.encode("utf-8", errors="replace"), safe="") for name in (topic, event))
        path += "/{}/events/{}?private={}".format(*place, quote(private, errors="replace", safe=""))
    elif words.random() < 0.8:
        payload = {"x": words.value()} if words.random() < 0.8 else words.value()
        message = {"topic": topic, "event": event, "payload": payload}
        wish = words.choice((True, False, words.value()))
        body = words.json({"messages": [{**message, "private": wish}, message]})
    return encoded(words, "POST", path, keys, {"Content-Type": "application/json"}, body)


def encoded(
    words: Words, method: str, path: str, keys: list[str], headers: dict[str, str], body: bytes
) -> bytes:
    damaged = words.random() < 0.03
    # What is damaged may have lost its wish to be rolled back.
    credentials = {"apikey": keys[1] if damaged else words.choice(keys[:3])}
    if not damaged and words.random() < 0.2:
        credentials["Authorization"] = f"Bearer {words.choice([*keys, _line(words.text())])}"
    if words.random() < 0.05:
        credentials = {"apikey": _line(words.text())}
    shown = {"Host": "x", **credentials, **headers, "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in shown.items())
    request = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1", errors="replace") + body
    return words.damaged(request) if damaged else request


def _line(text: str) -> str:
    """The text without what ends a header."""
    return " ".join(text.replace("\0", "").split()) or ATTACKS[0]
