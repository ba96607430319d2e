"""The worker's calls to Supabase: what can be repeated is repeated, errors become our own."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import httpx
from postgrest.exceptions import APIError
from pydantic_core import from_json, to_json
from supabase import AsyncClient, AsyncClientOptions
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from worker.errors import (
    BatchGone,
    EpisodeChanged,
    LeaseLost,
    Rejected,
    SchemaMissing,
    Unauthorized,
    Unavailable,
    WorkerError,
)
from worker.events import Key

logger = logging.getLogger(__name__)

# A commit may take as long as the database lets it; everything else answers at once or not.
TIMEOUT = httpx.Timeout(connect=5, read=35, write=15, pool=5)
LIMITS = httpx.Limits(max_connections=4, max_keepalive_connections=2)
# The relay says the same, see relay/upstream/rest.py.
NO_SCHEMA = (
    "the project lacks tables or functions of Hotspot Relay: apply supabase/migrations to it"
    " (`supabase link`, then `supabase db push`) and start again"
)
# What each function answers with: an object of something else on the way is no answer.
PARTS: Mapping[str, Sequence[str]] = {
    "start_scan": ("status",),
    "claim_events": ("batch", "events", "quarantined"),
    "batch_state": ("clock", "keys", "detectors", "episodes", "inputs"),
    "commit_batch": ("events",),
    "store_expectations": ("stored",),
    "commit_pass": ("opened",),
    "next_rebuild": ("key",),
    "past_of_key": ("events", "inputs", "state"),
    "due_keys": ("due", "now", "clock", "keys", "detectors", "episodes", "inputs"),
    "announce_open_episodes": ("alerts",),
    "finish_scan": ("scans",),
    "emissions_report": ("rows", "next"),
    "learned_of": ("detectors", "pending", "waiting"),
    "prune": ("events",),
    "worker_heartbeat": ("seen_at",),
    "next_recompute": ("recompute",),
    "recompute_page": ("events", "suppliers", "from", "to"),
    "commit_recompute": ("state", "events"),
    "request_recompute": ("state", "id"),
    "set_supplier": ("state", "id"),
}
# PostgreSQL's codes of a full disk. The relay says the same, see relay/upstream/rest.py.
NO_ROOM: Mapping[str | None, str] = {
    "53100": "the database's disk is full: see The disk is full in docs/operate.md",
    "25006": "the database is read-only, which Supabase makes it when its disk gets full: see The"
    " disk is full in docs/operate.md",
}
Row = dict[str, Any]

CONFLICTS: Mapping[str | None, type[WorkerError]] = {
    "lease": LeaseLost,
    "episode": EpisodeChanged,
    "events": BatchGone,
}


@asynccontextmanager
async def connected(
    url: str,
    key: str,
    *,
    retry_seconds: float = 20.0,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Database]:
    """Give a Database that is closed at the end. Nothing is sent yet."""
    async with httpx.AsyncClient(
        timeout=TIMEOUT,
        limits=LIMITS,
        event_hooks={"response": [_check_status]},
        transport=transport,
        trust_env=False,
    ) as http:
        # The class, not create_client(): that one would ask for a user's session first.
        client = AsyncClient(url, key, AsyncClientOptions(httpx_client=http))
        yield Database(client, retry_seconds)


async def _check_status(response: httpx.Response) -> None:
    """Raise what the status alone decides; the body of any other error is PostgREST's."""
    status = response.status_code
    if status == 401:
        raise Unauthorized(
            "Supabase does not accept the key: set SUPABASE_SECRET_KEY to the secret key of "
            f"the project ({await _start(response)})"
        )
    if status in (408, 429) or status >= 500:
        text = f"Supabase answered {status}: {await _start(response)}"
        cause = NO_ROOM.get(_code(await response.aread()))
        raise Unavailable(f"{cause} ({text})" if cause else text)


def _code(body: bytes) -> str | None:
    try:
        code = from_json(body)["code"]
    except (ValueError, KeyError, TypeError):
        return None
    return code if isinstance(code, str) else None


async def _start(response: httpx.Response) -> str:
    return (await response.aread()).decode(errors="replace")[:300]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to scan: who has it and the fencing token that proves it."""

    holder: UUID
    token: int

    def parameters(self) -> dict[str, Any]:
        return {"holder": str(self.holder), "token": self.token}


class Database:
    """The functions of the schema, and the insert of events.

    Every method raises Unavailable after trying for `retry_seconds`, Rejected at once, and where
    the lease is involved LeaseLost; all of them may be repeated without doing anything twice.
    """

    def __init__(self, client: AsyncClient, retry_seconds: float) -> None:
        self._client = client
        self._retry_seconds = retry_seconds

    async def start_scan(self, holder: UUID, lease_seconds: int, reason: str) -> dict[str, Any]:
        """Take the lease; the answer's `status` is started, idle or held."""
        return await self._call(
            "start_scan",
            {"holder": str(holder), "lease_seconds": lease_seconds, "reason": reason},
        )

    async def claim_events(
        self, lease: Lease, lease_seconds: int, size: int, max_bytes: int
    ) -> dict[str, Any]:
        """Claim the next batch and renew the lease; `batch` is None when nothing is pending."""
        limits = {"lease_seconds": lease_seconds, "size": size, "max_bytes": max_bytes}
        return await self._call("claim_events", lease.parameters() | limits)

    async def batch_state(self, batch: str) -> dict[str, Any]:
        """Read again what a claimed batch is judged against."""
        return await self._call("batch_state", {"batch": batch})

    async def commit_batch(
        self, lease: Lease, batch: str, result: Mapping[str, Any]
    ) -> dict[str, int]:
        """Commit a batch and give its counts. Raises EpisodeChanged and BatchGone as well."""
        arguments = {"batch": batch, "result": result}
        return await self._call("commit_batch", lease.parameters() | arguments)

    async def commit_pass(
        self, lease: Lease, number: str, result: Mapping[str, Any]
    ) -> dict[str, int]:
        """Commit what a pass without events led to. Raises EpisodeChanged as well."""
        arguments = {"pass": number, "result": result}
        return await self._call("commit_pass", lease.parameters() | arguments)

    async def next_rebuild(self, lease: Lease, lease_seconds: int, drained: bool) -> dict[str, Any]:
        """Name the key whose past is to be folded anew next; `key` is None without one."""
        arguments = {"lease_seconds": lease_seconds, "drained": drained}
        return await self._call("next_rebuild", lease.parameters() | arguments)

    async def past_of_key(
        self,
        lease: Lease,
        lease_seconds: int,
        key: Key,
        after_time: str | None,
        after_id: int,
        size: int,
    ) -> dict[str, Any]:
        """Read a page of a key's events with their predictions, in order of event time."""
        arguments = {
            "lease_seconds": lease_seconds,
            "key": key._asdict(),
            "after_time": after_time,
            "after_id": after_id,
            "size": size,
        }
        return await self._call("past_of_key", lease.parameters() | arguments)

    async def store_expectations(
        self, lease: Lease, lease_seconds: int, rows: Sequence[Row]
    ) -> dict[str, int]:
        """Store what events usually cost, which their past, folded anew, tells."""
        arguments = {"lease_seconds": lease_seconds, "expectations": list(rows)}
        return await self._call("store_expectations", lease.parameters() | arguments)

    async def due_keys(
        self, lease: Lease, lease_seconds: int, now: float | None, size: int
    ) -> dict[str, Any]:
        """Read keys that have something due at this time, by event time for None."""
        clock = None if now is None else datetime.fromtimestamp(now, UTC).isoformat()
        arguments = {"lease_seconds": lease_seconds, "clock": clock, "size": size}
        return await self._call("due_keys", lease.parameters() | arguments)

    async def announce_open_episodes(
        self, lease: Lease, now: float | None, cooldown_seconds: float
    ) -> dict[str, int]:
        """Tell of open episodes that were kept back and are not any more; their number.

        `now` in epoch seconds says which silences are in force, None the database's clock.
        """
        clock = None if now is None else datetime.fromtimestamp(now, UTC).isoformat()
        arguments = {"clock": clock, "cooldown_seconds": cooldown_seconds}
        return await self._call("announce_open_episodes", lease.parameters() | arguments)

    async def request_rebuilds(self, entities: Sequence[str] | None, reason: str) -> int:
        """Queue the folding anew of the past of these entities' keys, of all for None."""
        query = self._client.rpc(
            "request_rebuilds",
            {"entities": None if entities is None else list(entities), "reason": reason},
        )
        number: int = await self._repeat("request_rebuilds", query.execute, int)
        return number

    async def finish_scan(
        self, lease: Lease, counts: Mapping[str, int], error: str | None
    ) -> dict[str, Any]:
        """End the scan and give the lease back."""
        arguments = {"counts": dict(counts), "error": error}
        return await self._call("finish_scan", lease.parameters() | arguments)

    async def heartbeat(
        self, holder: UUID, scanned_seconds: float | None, limits: Mapping[str, float]
    ) -> Row:
        """Write the worker's heartbeat; its last complete scan ended so long ago, None: no news.

        `limits` are the ratios that severities begin at, by name. Gives the row of
        worker_heartbeats.
        """
        arguments = {
            "holder": str(holder),
            "scanned_seconds": scanned_seconds,
            "limits": dict(limits),
        }
        return await self._call("worker_heartbeat", arguments)

    async def prune(self, keep_days: float) -> dict[str, int]:
        """Delete some of what is over and older than that; what was deleted, zeros at the end."""
        return await self._call("prune", {"keep": f"{keep_days * 86_400} seconds"})

    async def add_events(self, rows: Sequence[Mapping[str, Any]]) -> set[str]:
        """Insert the events whose `source_key` is new and give the keys of these.

        After an answer that was lost on the way they count as not new.
        """
        query = self._client.table("events_normalized").upsert(
            [dict(row) for row in rows], on_conflict="source_key", ignore_duplicates=True
        )
        query = query.select("source_key")
        new: list[Row] = await self._repeat("events_normalized", query.execute, list)
        return {row["source_key"] for row in new}

    async def learned_of(self, suppliers: Sequence[str], most: int) -> Row:
        """Give what the detectors of suppliers have learned, and what waits for the worker.

        `detectors` has a row for each; `pending` are at most so many events that wait, and
        `waiting` is how many there are.
        """
        return await self._call("learned_of", {"suppliers": list(suppliers), "most": most})

    async def next_recompute(
        self, lease: Lease, lease_seconds: int, basis: Row | None, classes: list[Any] | None
    ) -> Row | None:
        """Name the oldest recomputation that is not done, None when all are.

        With a basis that differs from the stored one, all events are to be computed anew.
        """
        arguments = {"lease_seconds": lease_seconds, "basis": basis, "classes": classes}
        answer = await self._call("next_recompute", lease.parameters() | arguments)
        wanted: Row | None = answer["recompute"]
        return wanted

    async def recompute_page(
        self, lease: Lease, lease_seconds: int, recompute: int, size: int
    ) -> Row:
        """Give the next events of a recomputation and renew the lease."""
        arguments = {"lease_seconds": lease_seconds, "recompute": recompute, "size": size}
        return await self._call("recompute_page", lease.parameters() | arguments)

    async def commit_recompute(
        self, lease: Lease, recompute: int, done_from: int, done_to: int, result: Mapping[str, Any]
    ) -> Row:
        """Store a page and give the recomputation's row. Raises BatchGone when it has moved."""
        arguments = {
            "recompute": recompute,
            "done_from": done_from,
            "done_to": done_to,
            "result": dict(result),
        }
        return await self._call("commit_recompute", lease.parameters() | arguments)

    async def request_recompute(
        self, supplier: str | None, reason: str, basis: Row, classes: list[Any], relearn: bool
    ) -> Row:
        """Ask for a recomputation and give its row."""
        return await self._call(
            "request_recompute",
            {
                "supplier": supplier,
                "reason": reason,
                "basis": basis,
                "classes": classes,
                "relearn": relearn,
            },
        )

    async def set_supplier(
        self, supplier: str, changes: Mapping[str, Any], basis: Row, classes: list[Any]
    ) -> Row:
        """Set what holds for a supplier; the row of the recomputation that this asks for."""
        arguments = {"supplier": supplier, "changes": dict(changes), "basis": basis}
        return await self._call("set_supplier", arguments | {"classes": classes})

    async def decide_quarantine(self, events: Sequence[int], verdict: str) -> int:
        """Release held events, or drop them; their number."""
        arguments = {"events": list(events), "verdict": verdict}
        query = self._client.rpc("decide_quarantine", arguments)
        number: int = await self._repeat("decide_quarantine", query.execute, int)
        return number

    async def emissions(self, since: date, until: date, per: str) -> AsyncIterator[Row]:
        """Give what was emitted from one day to another, in total, by month or by day."""
        after: str | None = None
        while True:
            page = await self._call(
                "emissions_report",
                {"since": str(since), "until": str(until), "per": per, "after": after},
            )
            for row in page["rows"]:
                yield row
            after = page["next"]
            if after is None:
                return

    async def select(self, table: str, key: str, after: Any = None, **equal: Any) -> list[Row]:
        """Give up to 1000 rows in the order of `key`, after one, where columns equal these."""
        query = self._client.table(table).select("*").order(key).limit(1000)
        for name, value in equal.items():
            query = query.eq(name, value)
        if after is not None:
            query = query.gt(key, after)
        rows: list[Row] = await self._repeat(table, query.execute, list)
        return rows

    async def _call(self, function: str, arguments: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = await self._repeat(
            function, lambda: self._post(function, arguments), dict
        )
        return answer

    async def _post(self, function: str, arguments: dict[str, Any]) -> _Answer:
        """Call a function as `rpc` does, but with an encoder of JSON that is four times as fast.

        PostgREST parses a body only to learn its keys, and not at all where `columns` names them.
        A batch is a megabyte. Raises APIError, and what httpx raises.
        """
        rest = self._client.postgrest
        response = await rest.session.post(
            str(rest.base_url.joinpath("rpc", function)),
            params={"columns": ",".join(arguments)},
            content=to_json(arguments),
            headers={**rest.headers, "Content-Type": "application/json"},
        )
        try:
            data = from_json(response.content)
        except ValueError:
            data = response.text
        if response.is_success:
            return _Answer(data)
        unknown = {"message": response.text[:300], "code": str(response.status_code)}
        raise APIError(data if isinstance(data, dict) else unknown)

    async def _repeat(self, what: str, execute: Any, kind: type) -> Any:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            stop=stop_after_delay(self._retry_seconds),
            before_sleep=_note_retry,
            reraise=True,
        ):
            with attempt:
                return await _translated(what, execute, kind)
        raise AssertionError("unreachable: the loop above returns or raises")


def _note_retry(state: RetryCallState) -> None:
    if state.outcome is not None:
        logger.debug("trying again: %s", state.outcome.exception())


class _Answer(NamedTuple):
    """What a function answered, as the client's own answers hold it."""

    data: Any


async def _translated(what: str, execute: Any, kind: type) -> Any:
    try:
        answer = (await execute()).data
    except httpx.TransportError as exc:
        text = str(exc) or type(exc).__name__
        raise Unavailable(f"{what}: Supabase cannot be reached: {text}") from exc
    except APIError as exc:
        raise _own_error(what, exc) from exc
    parts = answer if isinstance(answer, dict) else ()
    if not isinstance(answer, kind) or any(part not in parts for part in PARTS.get(what, ())):
        # A proxy's page with status 200 is no answer of PostgREST.
        raise Unavailable(f"{what}: the answer is not of PostgREST: {str(answer)[:100]!r}")
    return answer


def _own_error(what: str, error: APIError) -> WorkerError:
    if error.code == "PT409" and error.hint in CONFLICTS:
        return CONFLICTS[error.hint](str(error.message))
    text = f"{what}: {error.message} ({error.code})"
    if error.code in ("PGRST202", "PGRST205", "42883", "42P01"):
        return SchemaMissing(f"{NO_SCHEMA} ({error.message})")
    if error.code == "42501":
        return Unauthorized(f"{text}: SUPABASE_SECRET_KEY must be the secret key of the project")
    cause = NO_ROOM.get(error.code)
    return Rejected(f"{cause} ({text})" if cause else text)
