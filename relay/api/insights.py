"""What the database sums up, over HTTP: totals, contributors, trend, and the course of a hotspot.

Each route is one SQL function or list, read under the caller's own token.
"""

import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from relay.api.requests import Id, answers
from relay.api.user_client import UserClient
from relay.errors import Refused

MOST_SPARKS: Final = 200
NEWEST: Final = "200"  # rows of a list

Name = Annotated[str | None, Field(max_length=200)]
_IDS: Final = re.compile(r"[1-9][0-9]{0,18}(,[1-9][0-9]{0,18})*")


class Summary(BaseModel):
    """Totals of the last 1, 7 and 30 days, each of the last 30 days, and what is worst."""

    as_of: date | None = None
    entity: Name = None
    event_type: Name = None


class Trend(Summary):
    """Each of the last days, of all or of an entity or kind of work."""

    days: int = Field(30, ge=1, le=3660)


class Contributors(BaseModel):
    """Who makes the kilograms of the last days, largest first."""

    days: int = Field(7, ge=1, le=3660)
    as_of: date | None = None
    by: Literal["entity", "event_type", "key"] = "entity"
    sort: Literal["kg", "excess"] = "kg"
    size: int = Field(20, ge=1, le=5000)


def add_insights(routes: APIRouter, behalf: UserClient, token: Callable[[Request], str]) -> None:
    """Add the routes that read; `token` gives the caller's, or refuses."""
    reads = _Insights(behalf, token)
    for path, read, more in (
        ("/emissions/summary", reads.by_query("emissions_summary", Summary), ()),
        ("/emissions/contributors", reads.by_query("emissions_contributors", Contributors), ()),
        ("/emissions/trend", reads.by_query("emissions_trend", Trend), ()),
        ("/hotspots/sparks", reads.sparks, (400,)),
        ("/hotspots/{id}/series", reads.series, (404,)),
        ("/hotspots/{id}/history", reads.history, (404,)),
        ("/waiting", reads.waiting, ()),
        ("/notices", reads.notices, ()),
        ("/quarantine", reads.quarantine, ()),
    ):
        routes.add_api_route(
            path, read, methods=["GET"], name=path.rpartition("/")[2], responses=answers(*more)
        )


class _Insights:
    def __init__(self, behalf: UserClient, token: Callable[[Request], str]) -> None:
        self._behalf = behalf
        self._token = token

    def by_query(self, function: str, model: type[BaseModel]) -> Callable[..., Any]:
        """Make the handler of a function that takes the query parameters of `model`."""

        async def read(request: Request, asked: Any) -> Response:
            return await self._call(request, function, asked.model_dump(mode="json"))

        read.__annotations__["asked"] = Annotated[model, Query()]
        read.__doc__ = model.__doc__
        return read

    async def sparks(
        self, request: Request, ids: str, points: Annotated[int, Query(ge=1, le=200)] = 50
    ) -> Response:
        """The newest observations of several hotspots as ratios to what is usual.

        Raises:
            Refused: 400 when `ids` are not numbers with commas between, at most 200.
        """
        if not _IDS.fullmatch(ids) or ids.count(",") >= MOST_SPARKS:
            raise Refused(
                400, f"ids must be up to {MOST_SPARKS} ids of hotspots, with commas between"
            )
        numbers = [int(text) for text in ids.split(",")]
        if max(numbers) >= 2**63:
            raise Refused(400, "an id is at most 9223372036854775807")
        return await self._call(request, "hotspot_sparks", {"ids": numbers, "points": points})

    async def series(
        self, request: Request, id: Id, points: Annotated[int, Query(ge=1, le=1000)] = 50
    ) -> Response:
        """The observations behind a hotspot with what is usual."""
        return await self._call(request, "hotspot_series", {"id": id, "points": points})

    async def history(self, request: Request, id: Id) -> Response:
        """Everything that happened to a hotspot, oldest first."""
        return await self._call(request, "hotspot_history", {"id": id})

    async def waiting(self, request: Request) -> Response:
        """How many events are held back, and how many notices there are of seven days."""
        return await self._call(request, "waiting", {})

    async def notices(self, request: Request) -> Any:
        """The newest notices."""
        return await self._rows(request, "notices", {"order": "id.desc"})

    async def quarantine(self, request: Request) -> Any:
        """The events that were held back last, with the reason."""
        columns = "event_id,entity,event_type,kind,reason,column_name,created_at"
        selected = {"select": columns, "state": "eq.held", "order": "created_at.desc,event_id.desc"}
        return await self._rows(request, "quarantine", selected)

    async def _call(self, request: Request, function: str, arguments: dict[str, Any]) -> Response:
        answer = await self._behalf.answer(self._token(request), function, arguments)
        return Response(answer, media_type="application/json")

    async def _rows(self, request: Request, table: str, selected: dict[str, str]) -> Any:
        return await self._behalf.rows(self._token(request), table, selected | {"limit": NEWEST})
