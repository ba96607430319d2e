"""Supabase over REST, through supabase-py with timeouts of our own.

Long answers are parsed piece by piece, in time slices.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

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

TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0, pool=5.0)
WHOLE_SECONDS: Final = 60.0  # for a whole answer: each byte of it renews httpx's time
LIMITS: Final = httpx.Limits(max_connections=16, max_keepalive_connections=8)
PAGE: Final = 1000
HEARTBEATS: Final = "relay_heartbeats"
# The worker says the same, see worker/database.py.
NO_SCHEMA: Final = (
    "the project lacks tables or functions of Hotspot Relay: apply supabase/migrations to it"
    " (`supabase link`, then `supabase db push`) and start again"
)
_MISSING: Final = frozenset({"PGRST202", "PGRST205", "42883", "42P01"})
# PostgreSQL's codes of a full disk. The worker says the same, see worker/database.py.
_NO_ROOM: Final[Mapping[str, str]] = {
    "53100": "the database's disk is full: see The disk is full in docs/operate.md",
    "25006": "the database is read-only, which Supabase makes it when its disk gets full: see The"
    " disk is full in docs/operate.md",
}
ALL: Final = sorted(BY_NUMBER)
_DECODER: Final = json.JSONDecoder()
_SPACE: Final = " \t\n\r"

T = TypeVar("T")
_Query = AsyncSelectRequestBuilder | AsyncRPCFilterRequestBuilder


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

    Each raises Unavailable when there is no answer, or not the expected one.

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
        text = await _asked("changes_since", _text(query))
        members: dict[str, Any] = {}
        with _expected("changes_since"):
            changes = await self._slices.collect(_changes(text, members))
            reset = members.get("reset")
            if reset is None and "rows" not in members:
                raise KeyError("rows")
            return Page(
                epoch=members["epoch"],
                snapshot=Snapshot.parse(members.get("upto", members["snapshot"])),
                changes=tuple(changes),
                more=reset is None and bool(members["more"]),
                reset=reset,
                after=members.get("rows") or after,
                busy=frozenset(members.get("busy", ())),
            )

    async def heartbeat(self, instance: str, beat: int) -> int:
        """Write the relay's heartbeat row.

        Returns:
            The former beat, 0 if there was none; the new one if an old schema does not tell.
        """
        asked = {"instance": instance, "beat": beat, "secret": self._heartbeat_secret}
        answer = await self._call("relay_heartbeat", asked)
        with _expected("relay_heartbeat"):
            return int(answer.get("before", beat) or 0)

    async def broadcasting(self) -> Broadcasting:
        """Whether broadcasts of the database can be used.

        A topic to which others may send is not: what comes on it could be forged.
        """
        answer = await self._call("relay_broadcast", {})
        inherited = tuple(str(rights) for rights in answer.get("inherited") or ())
        return Broadcasting(_lacks(answer), inherited)

    async def access(self) -> Mapping[str, Any]:
        """Call relay_access(): grants and policies by role and table."""
        return await self._call("relay_access", {})

    async def worker_status(self) -> Mapping[str, Any]:
        """Call worker_status()."""
        return await self._call("worker_status", {})

    async def beat(self, instance: str) -> int | None:
        """The beat of a relay's heartbeat row; None when there is no such row."""
        query = self._client.table(HEARTBEATS).select("beat").eq("instance", instance)
        answer = await _answer(HEARTBEATS, query)
        with _expected(HEARTBEATS):
            return int(answer[0]["beat"]) if answer else None

    async def versions(self, endpoint: Endpoint, ids: Sequence[int]) -> dict[int, int]:
        """The newest version of each of these rows, deletions included; none of a row that never
        was. 100 ids at most.
        """
        rows = self._client.table(endpoint.name).select("id,version").in_("id", list(ids))
        deleted = (
            self._client.table("deletions")
            .select("id,version")
            .eq("t", endpoint.number)
            .in_("id", list(ids))
        )
        found: dict[int, int] = {}
        for what, query in ((endpoint.name, rows), ("deletions", deleted)):
            answer = await _answer(what, query)
            with _expected(what):
                for row in answer:
                    found[row["id"]] = max(row["version"], found.get(row["id"], 0))
        return found

    async def newest(self, wanted: Filter, count: int) -> tuple[list[Change], bool]:
        """The newest `count` rows that match, and whether there are older ones."""
        pages = self._descending(wanted, count + 1, only_open=False)
        rows = [change async for page in pages for change in page]
        return rows[:count], len(rows) > count

    def open_rows(self, wanted: Filter, below: int, most: int) -> AsyncIterator[Sequence[Change]]:
        """Open rows that match with an id under `below`, the newest first, `most` at most, page by
        page.
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
        with _expected(endpoint.name):
            return await self._slices.collect(_rows(endpoint, answer))

    async def _call(self, function: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = await _answer(function, self._client.rpc(function, dict(arguments)))
        if not isinstance(answer, dict):
            raise Unavailable(f"{function}: unexpected answer")
        return answer


async def _answer(what: str, query: _Query) -> Any:
    return (await _asked(what, query.execute())).data


async def _text(query: _Query) -> str:
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
        async with asyncio.timeout(WHOLE_SECONDS):
            return await answer
    except TimeoutError as exc:
        raise Unavailable(f"{what}: no whole answer within {WHOLE_SECONDS:g} s") from exc
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
        text = " ".join(filter(None, (f"{what}:", code, exc.message)))
        cause = _NO_ROOM.get(code)
        raise Unavailable(f"{cause} ({text})" if cause else text) from exc
    except httpx.HTTPError as exc:
        raise Unavailable(f"{what}: {type(exc).__name__} {exc}".rstrip()) from exc


@contextlib.contextmanager
def _expected(what: str) -> Iterator[None]:
    """Raise Unavailable where an answer has another shape than what is read from it."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, Incomplete) as exc:
        raise Unavailable(f"{what}: unexpected answer ({exc})") from exc


class JsonText:
    """A JSON text that is read from left to right, so that others get their turn in between.

    Every method raises ValueError where the text is something else than what is asked for.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def value(self) -> Any:
        """Parse the next value in one go."""
        self._skip_space()
        value, self._at = _DECODER.raw_decode(self._text, self._at)
        return value

    def elements(self) -> Iterator[Any]:
        """Yield the elements of the array that comes next, each parsed when it is asked for."""
        for _ in self._items("[", "]"):
            yield self.value()

    def members(self) -> Iterator[str]:
        """Yield the names in the object that comes next; the value has to be read after each."""
        for _ in self._items("{", "}"):
            name = self.value()
            if not isinstance(name, str) or not self._takes(":"):
                raise ValueError(f"no object at character {self._at}")
            yield name

    def end(self) -> None:
        """Check that nothing follows."""
        self._skip_space()
        if self._at != len(self._text):
            raise ValueError(f"more than one value at character {self._at}")

    def _items(self, begin: str, end: str) -> Iterator[None]:
        if not self._takes(begin):
            raise ValueError(f"no {begin} at character {self._at}")
        if self._takes(end):
            return
        yield
        while self._takes(","):
            yield
        if not self._takes(end):
            raise ValueError(f"no {end} at character {self._at}")

    def _takes(self, character: str) -> bool:
        self._skip_space()
        taken = self._text.startswith(character, self._at)
        self._at += taken
        return taken

    def _skip_space(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in _SPACE:
            self._at += 1


def _rows(endpoint: Endpoint, answer: str) -> Iterator[Change]:
    text = JsonText(answer)
    for row in text.elements():
        yield from_row(endpoint, row)
    text.end()


def _changes(answer: str, members: dict[str, Any]) -> Iterator[Change]:
    """Yield the changes in an answer of changes_since; `members` gets the rest of it, and the key
    of the last change instead of its `rows`, None if it has none."""
    text = JsonText(answer)
    for name in text.members():
        if name != "rows":
            members[name] = text.value()
            continue
        members["rows"] = None
        for row in text.elements():
            yield from_caught(row)
            members["rows"] = (row["tx"], row["t"], row["id"])
    text.end()


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
