"""The stand-in's REST interface: the requests that the relay makes, and no others."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.rows import Row, record
from bench.upstream.history import EPOCH, HOTSPOTS, History
from bench.upstream.realtime import Realtime

KEY = "sb_secret_bench"
TABLES = ("hotspots", "alerts", "recommendations")
EVERYTHING = {
    "select": True,
    "bypasses": False,
    "policies": [{"name": "Signed-in users read", "permissive": True, "using": "true"}],
    "columns": ["id"],
}
OPEN_TO_RELAYS_ALONE = {"function": True, "policy": True, "sends": [], "receives": []}
NO_WORKER = dict.fromkeys(("age_seconds", "last_scan_seconds", "pending", "oldest_pending_seconds"))
MOST_ROWS = 1000  # PostgREST cuts answers there without a word


class Rest:
    """Answers from the history and counts what it was asked, by the name of function or table."""

    def __init__(self, history: History, realtime: Realtime) -> None:
        self._history = history
        self._realtime = realtime
        self.asked: Counter[str] = Counter()

    def routes(self) -> list[Route]:
        """Functions by POST, tables by GET."""
        return [
            Route("/rest/v1/rpc/{name}", self._function, methods=["POST"]),
            Route("/rest/v1/{name}", self._table, methods=["GET"]),
        ]

    async def _function(self, request: Request) -> Response:
        name = request.path_params["name"]
        self.asked[name] += 1
        if (refusal := _refused(request)) is not None:
            return refusal
        given = await request.json()
        if name == "changes_since":
            return _json(self._changes_since(given))
        if name == "relay_heartbeat":
            now = time.time()
            self._history.beat(given["instance"], given["beat"])
            await self._realtime.beat(given["instance"], given["beat"], now)
            return JSONResponse(given)
        if name == "relay_broadcast":
            return JSONResponse(OPEN_TO_RELAYS_ALONE)
        if name == "worker_status":
            return JSONResponse(NO_WORKER)
        if name == "relay_epoch":
            return JSONResponse(EPOCH)
        if name == "relay_access":
            return JSONResponse({"authenticated": dict.fromkeys(TABLES, EVERYTHING)})
        return _unknown(f"function {name}")

    async def _table(self, request: Request) -> Response:
        name, query = request.path_params["name"], dict(request.query_params)
        self.asked[name] += 1
        if (refusal := _refused(request)) is not None:
            return refusal
        query.pop("select", None)
        if name == "relay_heartbeats":
            beat = self._history.beats.get(query["instance"].removeprefix("eq."))
            return JSONResponse([] if beat is None else [{"beat": beat}])
        if name in ("alerts", "recommendations"):
            return JSONResponse([])
        if name != "hotspots":
            return _unknown(f"table {name}")
        return self._hotspots(query)

    def _hotspots(self, query: dict[str, str]) -> Response:
        below, entities = query.pop("id", None), query.pop("entity", None)
        order, limit = query.pop("order", ""), int(query.pop("limit", MOST_ROWS))
        open_only = query.pop("status", "eq.active") == "eq.active"
        if query or order != "id.desc" or not open_only or not (below or "lt.").startswith("lt."):
            return _unknown(f"query {query}")
        least = None if below is None else int(below.removeprefix("lt."))
        wanted = None if entities is None else _listed(entities)
        rows = self._history.newest(min(limit, MOST_ROWS), least, wanted)
        return _json(b"[%s]" % b",".join(map(encoded, rows)))

    def _changes_since(self, given: Mapping[str, Any]) -> bytes:
        after = (given["after_tx"], given["after_t"], given["after_id"])
        since, epoch, upto = given["since"], given["epoch"], given["upto"]
        page = self._history.since(since, epoch, upto, after, given["page"])
        answer = {"epoch": EPOCH, "snapshot": page.snapshot}
        if page.reset is not None:
            return json.dumps(answer | {"reset": page.reset}).encode()
        rows = (
            b'{"t":%d,"tx":%d,"id":%d,"record":%s,"deleted_version":null}'
            % (HOTSPOTS, row.tx, row.id, encoded(row))
            for row in page.rows
        )
        rest = json.dumps(answer | {"more": page.more})[1:].encode()
        return b'{"rows":[%s],%s' % (b",".join(rows), rest)


@lru_cache(maxsize=100_000)
def encoded(row: Row) -> bytes:
    """Return the row as JSON, made once: a database beside the relay would not be as slow."""
    return json.dumps(record(row), separators=(",", ":")).encode()


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


def _listed(operator: str) -> frozenset[str]:
    values = operator.removeprefix("in.(").removesuffix(")").split(",")
    return frozenset(value.strip('"') for value in values)


def _refused(request: Request) -> Response | None:
    if request.headers.get("apikey") == KEY:
        return None
    return JSONResponse({"message": "Invalid API key"}, status_code=401)


def _unknown(what: str) -> Response:
    message = f"the benchmark's upstream does not answer {what}"
    return JSONResponse({"code": "not_imitated", "message": message}, status_code=501)
