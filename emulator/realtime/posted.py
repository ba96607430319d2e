"""Broadcasts that are posted over HTTP, one or several at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from emulator.identity import Identity, InvalidToken
from emulator.realtime import phoenix
from emulator.realtime.broadcasts import (
    MAX_PAYLOAD_BYTES,
    Broadcast,
    Enveloped,
    Listeners,
    Relayed,
    sorted_json,
)
from emulator.realtime.policies import Policies, Undecided
from emulator.realtime.tables import viewer

Answer = Callable[[Request], Awaitable[Response]]
BLANK = "can't be blank"
TOO_LARGE = "Payload size exceeds tenant limit"
UNSUPPORTED = "Unsupported Media Type. Use application/json or application/octet-stream"
JSON, BYTES = "application/json", "application/octet-stream"


class Posted:
    """The two endpoints; `identify` raises InvalidToken."""

    def __init__(
        self, identify: Callable[[str], Identity], policies: Policies, listeners: Listeners
    ) -> None:
        self._identify = identify
        self._policies = policies
        self._listeners = listeners

    def routes(self) -> list[BaseRoute]:
        """What belongs under `/realtime/v1/api`."""
        return [
            Route("/broadcast", _guarded(self._several), methods=["POST"]),
            Route(
                "/broadcast/{topic:path}/events/{event:path}",
                _guarded(self._one),
                methods=["POST"],
            ),
        ]

    async def _several(self, request: Request) -> Response:
        """A private message that the caller may not send is left out without a word."""
        if (caller := self._caller(request)) is None:
            return _refused(401, "Unauthorized")
        body = _parsed(await request.body())
        messages = body.get("messages") if isinstance(body, dict) else None
        if not isinstance(messages, list) or not messages:
            return JSONResponse({"errors": {"messages": [BLANK]}}, 422)
        problems = [_problems(message) for message in messages]
        if any(problems):
            return JSONResponse({"errors": {"messages": problems}}, 422)
        for message in sorted(messages, key=_private):
            event = {key: message[key] for key in ("event", "payload")}
            broadcast = Relayed(sorted_json({**event, "type": "broadcast"}))
            await self._send(caller, message["topic"], broadcast, private=_private(message))
        return Response(status_code=202)

    async def _one(self, request: Request) -> Response:
        if (caller := self._caller(request)) is None:
            return _refused(401, "Unauthorized")
        kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        if kind not in (JSON, BYTES):
            return JSONResponse({"error": UNSUPPORTED}, 415)
        topic, event = request.path_params["topic"], request.path_params["event"]
        content = await request.body()
        payload = None if kind == BYTES else _parsed(content)
        if payload is None and kind == JSON:
            return JSONResponse({"errors": {"payload": [BLANK]}}, 422)
        broadcast = Enveloped(event, content if kind == BYTES else sorted_json(payload))
        if broadcast.size() > MAX_PAYLOAD_BYTES:
            return JSONResponse({"errors": {"payload": [TOO_LARGE]}}, 422)
        private = request.query_params.get("private") == "true"
        if error := await self._send(caller, topic, broadcast, private=private):
            return error
        return Response(status_code=202)

    async def _send(
        self, caller: Identity, topic: str, broadcast: Broadcast, *, private: bool
    ) -> Response | None:
        """Why the message was not sent, if it was not."""
        if private:
            seen = viewer(caller.role, caller.claims)
            verdict = await self._policies.writable(seen, topic)
            if isinstance(verdict, Undecided):
                return _refused(422, verdict.text)
            if not verdict:
                return _refused(403, "Unauthorized")
        self._listeners.deliver(topic, private, broadcast)
        return None

    def _caller(self, request: Request) -> Identity | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else request.headers.get("apikey")
        try:
            return None if key is None else self._identify(key)
        except InvalidToken:
            return None


def _guarded(answer: Answer) -> Answer:
    async def guarded(request: Request) -> Response:
        try:
            return await answer(request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it

    return guarded


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status)


def _parsed(content: bytes) -> Any:
    try:
        return phoenix.parse_json(content)
    except ValueError:
        return None


def _private(message: Mapping[str, Any]) -> bool:
    return message.get("private") in (True, "true")


def _problems(message: object) -> dict[str, list[str]]:
    """What is wrong with each field of a message."""
    fields = message if isinstance(message, dict) else {}
    problems = {
        name: [BLANK]
        for name, kind in (("topic", str), ("payload", dict), ("event", str))
        if not isinstance(fields.get(name), kind) or fields[name] == ""
    }
    if not problems and len(sorted_json(fields["payload"]).encode()) > MAX_PAYLOAD_BYTES:
        problems["payload"] = [TOO_LARGE]
    return problems
