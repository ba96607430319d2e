"""Supabase over REST, through supabase-py with timeouts of our own."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar, cast

import httpx
from postgrest import AsyncRPCFilterRequestBuilder, AsyncSelectRequestBuilder
from postgrest.base_request_builder import RequestConfig
from postgrest.exceptions import APIError
from supabase import AsyncClient, AsyncClientOptions

from relay.errors import KeyRefused, SchemaMissing, Unavailable
from relay.stream.change import BY_NUMBER, Change, Endpoint, Incomplete, from_caught, from_row
from relay.stream.filters import Filter
from relay.stream.snapshot import Snapshot
from relay.time_slices import TimeSlices
from relay.upstream.json_text import JsonText

TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0, pool=5.0)
LIMITS: Final = httpx.Limits(max_connections=16, max_keepalive_connections=8)
PAGE: Final = 1000
HEARTBEATS: Final = "relay_heartbeats"
# The worker says the same, see worker/database.py.
NO_SCHEMA: Final = (
    "the project lacks tables or functions of Hotspot Relay: apply supabase/migrations to it"
    " (`supabase link`, then `supabase db push`) and start again"
)
_MISSING: Final = frozenset({"PGRST202", "PGRST205", "42883", "42P01"})
ALL: Final = sorted(BY_NUMBER)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """A page of changes_since.

    `reset` is the reason why changes are unknown: another epoch, a snapshot from the future, or
    pruned deletions. The endpoints in `busy` are left out, since their tables are locked."""

    epoch: str
    snapshot: Snapshot
    changes: tuple[Change, ...]
    more: bool
    reset: str | None
    after: tuple[int, int, int]
    busy: frozenset[int] = frozenset()


class Query(Protocol):
    """A built request of supabase-py."""

    def execute(self) -> Awaitable[Any]:
        """Send it."""


@dataclass(frozen=True, slots=True)
class Broadcasting:
    """Whether the broadcasts of the database can be used.

    Attributes:
        lacks: What keeps them from being used; None when nothing does.
        inherited: Rights on the project's own tables that the relay's role has as a member of anon.
    """

    lacks: str | None
    inherited: tuple[str, ...]


class Rest:
    """The requests that the relay makes under its own key.

    Args:
        url: Address of the Supabase project.
        key: The relay's key.
        gateway_key: The key that lets requests pass the gateway where `key` is a token.
        slices: Time slices in which rows are parsed.
    """

    def __init__(
        self,
        url: str,
        key: str,
        gateway_key: str | None = None,
        slices: TimeSlices | None = None,
    ) -> None:
        self._slices = slices or TimeSlices()
        self._http = httpx.AsyncClient(timeout=TIMEOUT, limits=LIMITS, trust_env=False)
        options = AsyncClientOptions(
            headers={"Authorization": f"Bearer {key}"},
            httpx_client=self._http,
            auto_refresh_token=False,
            persist_session=False,
            postgrest_client_retry=False,
        )
        self._client = AsyncClient(url, gateway_key or key, options)
        self._heartbeat_secret: Final = secrets.token_urlsafe(16)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def changes_since(
        self,
        since: Snapshot | None,
        *,
        epoch: str | None,
        upto: Snapshot | None = None,
        after: tuple[int, int, int] = (0, 0, 0),
        page: int = PAGE,
        tables: Iterable[int] = ALL,
    ) -> Page:
        """One page of what `upto` (default: now) shows and `since` does not, of endpoints by their
        numbers.

        Raises:
            Unavailable: No answer, or not the expected one.
        """
        tx, table, row_id = after
        asked: dict[str, object] = {
            "since": None if since is None else str(since),
            "epoch": epoch,
            "upto": None if upto is None else str(upto),
            "after_tx": tx,
            "after_t": table,
            "after_id": row_id,
            "page": page,
        }
        if (some := sorted(tables)) != ALL:
            asked["tables"] = some
        query = self._client.rpc("changes_since", asked)
        answer = _PageText(await _asked("changes_since", _text(query)), after)
        try:
            return answer.page(await self._slices.collect(answer.changes()))
        except (AttributeError, KeyError, TypeError, ValueError, Incomplete) as exc:
            raise Unavailable(f"changes_since: unexpected answer ({exc})") from exc

    async def heartbeat(self, instance: str, beat: int) -> int:
        """Write the relay's heartbeat row.

        Returns:
            The former beat, 0 if there was none; the new one if an old schema does not tell.

        Raises:
            Unavailable: No answer, or not the expected one.
        """
        asked = {"instance": instance, "beat": beat, "secret": self._heartbeat_secret}
        answer = await self._call("relay_heartbeat", asked)
        try:
            return int(answer.get("before", beat) or 0)
        except (TypeError, ValueError) as exc:
            raise Unavailable(f"relay_heartbeat: unexpected answer ({exc})") from exc

    async def broadcasting(self) -> Broadcasting:
        """Whether broadcasts of the database can be used.

        A topic to which others may send is not: what comes on it could be forged.

        Raises:
            Unavailable: No answer, or an error.
        """
        answer = await self._call("relay_broadcast", {})
        inherited = tuple(str(rights) for rights in answer.get("inherited") or ())
        return Broadcasting(_lacks(answer), inherited)

    async def access(self) -> Mapping[str, Any]:
        """Call relay_access(): grants and policies by role and table.

        Raises:
            Unavailable: No answer, or an error.
        """
        return await self._call("relay_access", {})

    async def worker_status(self) -> Mapping[str, Any]:
        """Call worker_status().

        Raises:
            Unavailable: No answer, or an error.
        """
        return await self._call("worker_status", {})

    async def beat(self, instance: str) -> int | None:
        """The beat of a relay's heartbeat row; None when there is no such row.

        Raises:
            Unavailable: No answer, or not the expected one.
        """
        query = self._client.table(HEARTBEATS).select("beat").eq("instance", instance)
        answer = await _answer(HEARTBEATS, query)
        try:
            return int(answer[0]["beat"]) if answer else None
        except (KeyError, IndexError, TypeError, ValueError) as exc:
            raise Unavailable(f"{HEARTBEATS}: unexpected answer ({exc})") from exc

    async def versions(self, endpoint: Endpoint, ids: Sequence[int]) -> dict[int, int]:
        """The newest version of each of these rows, deletions included; none of a row that never
        was. 100 ids at most.

        Raises:
            Unavailable: No answer, or not the expected one.
        """
        rows = self._client.table(endpoint.name).select("id,version").in_("id", list(ids))
        deleted = (
            self._client.table("deletions")
            .select("id,version")
            .eq("t", endpoint.number)
            .in_("id", list(ids))
        )
        found: dict[int, int] = {}
        try:
            for what, query in ((endpoint.name, rows), ("deletions", deleted)):
                for row in await _answer(what, query):
                    found[row["id"]] = max(row["version"], found.get(row["id"], 0))
        except (KeyError, TypeError) as exc:
            raise Unavailable(f"{endpoint.name}: unexpected answer ({exc})") from exc
        return found

    async def newest(self, wanted: Filter, count: int) -> tuple[list[Change], bool]:
        """The newest `count` rows that match, and whether there are older ones.

        Raises:
            Unavailable: No answer, or not the expected one.
        """
        pages = self._descending(wanted, count + 1, only_open=False)
        rows = [change async for page in pages for change in page]
        return rows[:count], len(rows) > count

    def open_rows(self, wanted: Filter, below: int, most: int) -> AsyncIterator[Sequence[Change]]:
        """Open rows that match with an id under `below`, the newest first, `most` at most, page by
        page.

        Raises:
            Unavailable: No answer, or not the expected one.
        """
        return self._descending(wanted, most, only_open=True, below=below)

    async def _descending(
        self, wanted: Filter, count: int, *, only_open: bool, below: int | None = None
    ) -> AsyncIterator[Sequence[Change]]:
        # The server caps an answer at max_rows without a word: only an empty page is the end.
        while count > 0:
            query = self._client.table(wanted.endpoint.name).select("*")
            for column, values in wanted.columns():
                query = query.in_(column, list(values))
            if only_open:
                query = query.eq(wanted.endpoint.open_column, wanted.endpoint.open_value)
            if below is not None:
                query = query.lt("id", below)
            page = await self._read(wanted.endpoint, query.order("id", desc=True).limit(count))
            if not page:
                return
            count -= len(page)
            below = page[-1].id
            yield page

    async def _read(self, endpoint: Endpoint, query: AsyncSelectRequestBuilder) -> list[Change]:
        answer = await _asked(endpoint.name, _text(query))
        try:
            return await self._slices.collect(_parsed(endpoint, answer))
        except (Incomplete, AttributeError, TypeError, ValueError) as exc:
            raise Unavailable(f"{endpoint.name}: unexpected answer ({exc})") from exc

    async def _call(self, function: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = await _answer(function, self._client.rpc(function, dict(arguments)))
        if not isinstance(answer, dict):
            raise Unavailable(f"{function}: unexpected answer")
        return answer


async def _answer(what: str, query: Query) -> Any:
    return (await _asked(what, query.execute())).data


async def _text(query: AsyncSelectRequestBuilder | AsyncRPCFilterRequestBuilder) -> str:
    """The answer as it came: `execute` would parse all of it in one go."""
    request = cast(RequestConfig[httpx.AsyncClient], query.request)
    response = await request.send(httpx.Headers())
    if not response.is_success:
        raise APIError(_problem(response))
    return response.text


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        said = response.json()
    except ValueError:
        said = None
    if isinstance(said, dict):
        return said
    # It is the answer of a gateway, not of PostgREST.
    return {"code": str(response.status_code), "message": response.reason_phrase}


async def _asked(what: str, answer: Awaitable[T]) -> T:
    try:
        return await answer
    except APIError as exc:
        code = str(exc.code or "")
        refused = code == "401" or code.startswith("PGRST30") or "API key" in str(exc.message)
        if refused:
            raise KeyRefused(
                f"Supabase does not accept the relay's key ({exc.message}): check"
                " RELAY_SUPABASE_KEY (a JWT goes with SUPABASE_PUBLISHABLE_KEY) or"
                " SUPABASE_SECRET_KEY, and that SUPABASE_URL is its project"
            ) from exc
        if code in _MISSING:
            raise SchemaMissing(f"{NO_SCHEMA} ({exc.message})") from exc
        raise Unavailable(" ".join(filter(None, (f"{what}:", code, exc.message)))) from exc
    except httpx.HTTPError as exc:
        raise Unavailable(f"{what}: {type(exc).__name__} {exc}".rstrip()) from exc


def _parsed(endpoint: Endpoint, answer: str) -> Iterator[Change]:
    text = JsonText(answer)
    for row in text.elements():
        yield from_row(endpoint, row)
    text.end()


class _PageText:
    """An answer of changes_since that is parsed row by row."""

    def __init__(self, answer: str, after: tuple[int, int, int]) -> None:
        self._answer = answer
        self._members: dict[str, Any] = {}
        self._has_rows = False
        self._after = after

    def changes(self) -> Iterator[Change]:
        """Yield the changes."""
        text = JsonText(self._answer)
        for name in text.members():
            if name != "rows":
                self._members[name] = text.value()
                continue
            self._has_rows = True
            for row in text.elements():
                yield from_caught(row)
                self._after = (row["tx"], row["t"], row["id"])
        text.end()

    def page(self, changes: Iterable[Change]) -> Page:
        """The page of these changes, which are all that `changes` yielded."""
        answer = self._members
        reset = answer.get("reset")
        if reset is None and not self._has_rows:
            raise KeyError("rows")
        return Page(
            epoch=answer["epoch"],
            snapshot=Snapshot.parse(answer.get("upto", answer["snapshot"])),
            changes=tuple(changes),
            more=reset is None and bool(answer["more"]),
            reset=reset,
            after=self._after,
            busy=frozenset(answer.get("busy", ())),
        )


def _lacks(answer: Mapping[str, Any]) -> str | None:
    if not answer.get("function"):
        return "the function realtime.send is not there"
    if not answer.get("policy"):
        return "the policy on realtime.messages is not there"
    senders = answer.get("sends")
    if senders is None:
        return "relay_broadcast() does not tell who may send: apply the newest migrations"
    if senders:
        return (
            f"holders of {', '.join(senders)} may send to the topic relay:changes, so changes"
            " on it could be forged: restore the restrictive policy `Only the database sends"
            " changes` on realtime.messages, for these roles too"
        )
    return None
