"""The control endpoint: switches faults on and off and says what they did."""

from __future__ import annotations

import json
import secrets

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from emulator.faults.kinds import InvalidFault
from emulator.faults.registry import Faults, sorts
from emulator.identity import Keys

PATH = "/emulator/faults"


def routes(faults: Faults, keys: Keys) -> list[BaseRoute]:
    """GET lists, POST starts, DELETE stops one or all; each with the secret key as `apikey`."""
    control = _Control(faults, keys)
    return [
        Route(PATH, control.answer, methods=["GET", "POST", "DELETE"]),
        Route(PATH + "/{id:int}", control.answer_one, methods=["GET", "DELETE"]),
    ]


class _Control:
    def __init__(self, faults: Faults, keys: Keys) -> None:
        self._faults = faults
        self._keys = keys

    async def answer(self, request: Request) -> Response:
        if not self._allowed(request):
            return _refusal()
        if request.method == "POST":
            return await self._start(request)
        if request.method == "DELETE":
            self._faults.clear()
        return JSONResponse(
            {
                "faults": [fault.shown() for fault in self._faults.all()],
                "lost": dict(self._faults.lost),
                "kinds": sorts(),
            }
        )

    async def answer_one(self, request: Request) -> Response:
        if not self._allowed(request):
            return _refusal()
        fault = self._faults.find(request.path_params["id"])
        if fault is None:
            return JSONResponse({"message": "there is no fault with that id"}, 404)
        if request.method == "DELETE":
            self._faults.stop(fault)
        return JSONResponse(fault.shown())

    async def _start(self, request: Request) -> Response:
        try:
            given = json.loads(await request.body())
            if not isinstance(given, dict) or not isinstance(given.get("name"), str):
                raise InvalidFault('the body is JSON like {"name": "withhold", "seconds": 5}')
            fault = self._faults.start(given.pop("name"), **given)
        except ClientDisconnect:
            return Response(status_code=400)  # which nobody gets
        except (ValueError, RecursionError):
            return JSONResponse({"message": "the body is not JSON"}, 400)
        except InvalidFault as exc:
            return JSONResponse({"message": str(exc)}, 400)
        return JSONResponse(fault.shown(), 201)

    def _allowed(self, request: Request) -> bool:
        given = request.headers.get("apikey", "")
        return secrets.compare_digest(given.encode(), self._keys.secret.encode())


def _refusal() -> Response:
    return JSONResponse({"message": "the header apikey has to be the secret key"}, 401)
