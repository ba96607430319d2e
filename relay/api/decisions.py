"""What people say of hotspots, alerts and keys, over HTTP; the rules live in SQL functions.

One route for one hotspot or alert, one for up to 500 of them, and undo for a minute.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request
from pydantic import AfterValidator, AwareDatetime, Field

from relay.api.requests import (
    MAX_NOTES,
    Body,
    Id,
    Noted,
    Text,
    answers,
    body_of,
    described,
    notes,
    parsed,
    without_stamps,
)
from relay.api.user_client import UserClient

MOST_IDS: Final = 500
MAX_BYTES: Final = 32_768  # 500 ids with notes
MOST_SILENCES: Final = 1000
WORDS: Final = {
    "acknowledge": "acknowledged",
    "resolve": "resolved",
    "ignore": "ignored",
    "accept": "accepted",
    "reject": "rejected",
}

# Clients that keep ids beyond 2^53 as texts send them so.
Ids = Annotated[
    list[
        Annotated[int, Field(ge=1, le=2**63 - 1)]
        | Annotated[str, Field(pattern=r"^[1-9][0-9]{0,18}$")]
    ],
    Field(min_length=1, max_length=MOST_IDS),
    AfterValidator(lambda ids: [int(each) for each in ids]),
]
Activity = Literal["logistics", "factory", "warehouse", "delivery"]


class Decide(Noted):
    """One decision on hotspots."""

    ids: Ids
    decision: Literal["acknowledged", "resolved", "ignored", "accepted", "rejected"]


class Acknowledge(Noted):
    """Alerts that were seen."""

    ids: Ids


class Silence(Body):
    """No alerts of an entity, an activity, or up to a severity; times with their offset."""

    until: AwareDatetime
    why: Annotated[Text, Field(min_length=1, max_length=MAX_NOTES)]
    entity: Annotated[Text | None, Field(max_length=200)] = None
    event_type: Activity | None = None
    severity: Literal["info", "warn", "critical"] | None = None
    starts_at: AwareDatetime | None = None


class Reset(Noted):
    """A key whose detectors begin anew."""

    entity: Text
    event_type: Activity
    entity_type: Text = "supplier"


class Undo(Body):
    """Rows whose last decision is taken back."""

    kind: Literal["hotspot", "alert", "recommendation", "silence", "key"]
    ids: Ids


def add_decisions(
    routes: APIRouter, behalf: UserClient, token_of: Callable[[Request], str]
) -> None:
    """Add the routes of decisions; `token_of` gives the caller's token, or refuses."""
    decisions = _Decisions(behalf, token_of)
    one_row, undecided = (400, 404, 408, 413), {"decide_hotspot", "decide_recommendation"}
    for kind, verb, function, decision in (
        *(("hotspots", verb, "decide_hotspot", word) for verb, word in WORDS.items()),
        ("recommendations", "approve", "decide_recommendation", "approved"),
        ("recommendations", "reject", "decide_recommendation", "rejected"),
        ("alerts", "acknowledge", "acknowledge_alert", None),
        ("silences", "end", "end_silence", None),
    ):
        routes.add_api_route(
            f"/{kind}/{{id}}/{verb}",
            decisions.of_one(function, {} if decision is None else {"decision": decision}),
            methods=["POST"],
            name=f"{verb} {kind.removesuffix('s')}",
            openapi_extra=described(Noted, required=False),
            responses=answers(*one_row, *((409,) if function in undecided else ())),
        )
    routes.add_api_route("/silences", decisions.silences, methods=["GET"], responses=answers())
    for path, model, function, status in (
        ("/hotspots/decide", Decide, "decide_hotspots", 200),
        ("/alerts/acknowledge", Acknowledge, "acknowledge_alerts", 200),
        ("/silences", Silence, "silence", 201),
        ("/keys/reset", Reset, "reset_key", 200),
        ("/undo", Undo, "undo", 200),
    ):
        routes.add_api_route(
            path,
            decisions.by_body(function, model),
            methods=["POST"],
            name=function,
            status_code=status,
            openapi_extra=described(model),
            responses=answers(*one_row),
        )


class _Decisions:
    def __init__(self, behalf: UserClient, token_of: Callable[[Request], str]) -> None:
        self._behalf = behalf
        self._token_of = token_of

    def of_one(self, function: str, decision: Mapping[str, str]) -> Callable[..., Any]:
        async def decide(request: Request, id: Id) -> Any:
            """Decide one row as the path says, and return it; again changes nothing."""
            token = self._token_of(request)
            said = {"id": id, **decision, "notes": notes(await body_of(request))}
            return without_stamps(await self._behalf.call(token, function, said))

        return decide

    def by_body(self, function: str, model: type[Body]) -> Callable[..., Any]:
        async def tell(request: Request) -> Any:
            """Do what the path says with all that the body names."""
            token = self._token_of(request)
            said = parsed(model, await body_of(request, MAX_BYTES))
            return await self._behalf.call(token, function, said.model_dump(mode="json"))

        return tell

    async def silences(self, request: Request) -> Any:
        """The silences that are in force or still to come, the newest first."""
        selected = {
            "until": "gt.now",
            "ended_at": "is.null",
            "order": "id.desc",
            "limit": str(MOST_SILENCES),
        }
        return await self._behalf.rows(self._token_of(request), "silences", selected)
