"""Plans a request: from its parts to the statement that answers it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emulator.rest import calls, errors, media, payload, preferences, query, ranges, reads
from emulator.rest.media import Format
from emulator.rest.preferences import Preferences
from emulator.rest.ranges import Range
from emulator.rest.schema import Function, Schema, Table
from emulator.rest.statement import Statement
from emulator.rest.syntax import Query
from emulator.rest.writes import Write

READS = frozenset({"GET", "HEAD"})
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
MAX_ROWS = 1000


@dataclass(frozen=True)
class Request:
    """A request as it came in; header names are in lower case."""

    method: str
    path: str
    query_string: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def content_type(self) -> str:
        given = self.headers.get("content-type", "application/json")
        return given.split(";")[0].strip().lower()

    @property
    def parameters(self) -> query.Pairs:
        """The parameters without the key, which the gateway takes out."""
        return [pair for pair in query.pairs(self.query_string) if pair[0] != "apikey"]


@dataclass(frozen=True)
class Plan:
    """A parsed request: the statement, and what the response depends on."""

    method: str
    statement: Statement
    query: Query
    rows: Range
    preferences: Preferences
    format: Format
    profile: str | None
    canonical: str
    table: Table | None = None
    function: Function | None = None


def plan(request: Request, schema: Schema) -> Plan:
    """Plan `request`. Raises ApiError for one that is invalid."""
    name, is_call = _place(request.path)
    _check_method(request.method, is_call=is_call)
    profile = _profile(request, schema)
    understood = _understand(request, schema, is_call=is_call)
    table = function = None
    if is_call:
        function, statement = understood.call(name)
    else:
        table, statement = understood.access(name)
    return Plan(
        request.method,
        statement,
        understood.query,
        understood.rows,
        understood.preferences,
        understood.format,
        profile,
        query.canonical(request.parameters),
        table,
        function,
    )


def _place(path: str) -> tuple[str, bool]:
    """The table or function that a path names, and whether it is a function."""
    segments = path.strip("/").split("/")
    if segments == [""]:
        raise errors.no_root_document()
    if len(segments) == 2 and segments[0] == "rpc":
        return segments[1], True
    if len(segments) != 1:
        raise errors.invalid_path()
    return segments[0], False


def _understand(request: Request, schema: Schema, *, is_call: bool) -> _Understood:
    parsed = query.parse(request.parameters, arguments=is_call and request.method in READS)
    header = request.headers.get("range") if request.method == "GET" else None
    rows = ranges.requested(header, parsed.limit, parsed.offset)
    if request.method == "PUT" and rows != ranges.ALL:
        raise errors.put_limit()
    preferred = preferences.parse([request.headers.get("prefer", "")])
    wanted = media.negotiate(request.headers.get("accept"))
    if preferred.strict and preferred.unknown:
        raise errors.invalid_preferences(preferred.unknown)
    return _Understood(request, schema, parsed, rows, preferred, wanted)


def _check_method(method: str, *, is_call: bool) -> None:
    if is_call and method not in READS | {"POST"}:
        raise errors.rpc_method(method)
    if method not in READS | WRITES:
        raise errors.unsupported_method(method)


def _profile(request: Request, schema: Schema) -> str | None:
    header = "accept-profile" if request.method in READS else "content-profile"
    profile = request.headers.get(header)
    if profile is not None and profile != schema.name:
        raise errors.unknown_schema(profile, schema.name)
    return profile


@dataclass(frozen=True)
class _Understood:
    request: Request
    schema: Schema
    query: Query
    rows: Range
    preferences: Preferences
    format: Format

    def access(self, name: str) -> tuple[Table, Statement]:
        method = self.request.method
        if method in READS:
            table = self.schema.table(name)
            return table, self._read(table)
        body = payload.EMPTY if method == "DELETE" else self._payload()
        table = self.schema.table(name)
        write = Write(self.schema, table, self.query, self.preferences, self.format)
        if method == "POST":
            return table, write.insert(body)
        if method == "PUT":
            return table, write.put(body)
        return table, write.update(body) if method == "PATCH" else write.delete()

    def _payload(self) -> payload.Payload:
        columns = None if self.request.method == "PUT" else self.query.columns
        content_type = self.request.content_type
        return payload.parse(self.request.body, content_type, columns, for_function=False)

    def _read(self, table: Table) -> Statement:
        return reads.read(
            self.schema,
            table,
            self.query,
            self.rows,
            self.preferences,
            self.format,
            max_rows=MAX_ROWS,
            headers_only=self.request.method == "HEAD",
        )

    def call(self, name: str) -> tuple[Function, Statement]:
        function, arguments = self._invocation(name)
        if (
            self.preferences.strict
            and self.preferences.max_affected is not None
            and function.returns not in {"rows", "scalars"}
        ):
            raise errors.max_affected_on_single()
        return function, calls.call(
            self.schema,
            function,
            arguments,
            self.query,
            self.rows,
            self.preferences,
            self.format,
            max_rows=MAX_ROWS,
            by_get=self.request.method in READS,
            headers_only=self.request.method == "HEAD",
        )

    def _invocation(self, name: str) -> tuple[Function, calls.Arguments]:
        if self.request.method in READS:
            given = self.query.arguments
            function = self.schema.function(name, frozenset(key for key, _ in given))
            return function, calls.from_query(function, given)
        content_type = self.request.content_type
        body = payload.parse(self.request.body, content_type, self.query.columns, for_function=True)
        function = self.schema.function(name, frozenset(body.names), content_type)
        return function, calls.from_payload(function, body)
