"""Plays a recording against the emulator and compares what it sends."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from emulator.identity import Keys
from tests.emulator.realtime import recordings, unrecorded
from tests.emulator.realtime.comparing import Compare, Differs
from tests.emulator.realtime.conftest import DEADLINE_SECONDS, Client, Server
from tests.emulator.realtime.recordings import Recording, Step

MARGIN_SECONDS = 0.05
SECONDS = re.compile(r"\d+ seconds ago")
IDENTITY = ("hotspots", "alerts", "types", "notpub", "bcast")


@dataclass
class Replay:
    """One run; `compare` judges each frame."""

    server: Server
    recording: Recording
    compare: Compare
    clients: dict[str, Client] = field(default_factory=dict)
    early: dict[str, deque[str]] = field(default_factory=dict)  # frames that came before their turn
    done: set[str] = field(default_factory=set)  # changes that were made for their frames
    late: list[tuple[float, Step]] = field(default_factory=list)
    ends: float = 0
    written: bool = False

    async def run(self) -> None:
        """Raises Differs, also when something comes that was not recorded."""
        await self._prepare()
        steps = deque(self._in_time())
        while steps:
            step = steps.popleft()
            await self._send_late(step.at)
            if self.recording.expired is not None and step.at >= self.recording.expired:
                await self._wait_for_expiry()
            if step.direction == "sql":
                await self._execute_all(step, steps)
            else:
                await self._take(step)
        await self._end()

    async def _prepare(self) -> None:
        if self.recording.before:
            await self.server.sql(self.recording.before)
        for table, number in self.recording.numbers.items():
            await self._number(table, number)
        if self.recording.cut:
            changes = filter(None, map(Step.data, self.recording.steps))
            await unrecorded.make_former(self.server, filter(self._unexplained, changes))

    async def _number(self, table: str, number: int) -> None:
        await self.server.sql(f"alter table {table} alter id restart with {number}")

    def _in_time(self) -> list[Step]:
        """The steps, with the changes of others at the time when they were committed."""
        steps = [*self.recording.steps]
        frames = [(step, data) for step in steps if (data := step.data())]
        causes = [(s.at, self.recording.statement(s)) for s in steps if s.direction == "sql"]
        start = unrecorded.start(causes, [data for _, data in frames])
        if not self.recording.others or start is None:
            return steps
        for shown, data in frames:
            moment, key = unrecorded.committed(data), unrecorded.identity(data)
            if moment is None or not self._unexplained(data) or key in self.done:
                continue
            self.done.add(key)
            joined = [s.at for s in steps if s.at <= shown.at and '"system"' in str(s.content)]
            steps.append(Step("make", {"t": max(moment - start, *joined), "data": data}))
        return sorted(steps, key=lambda step: step.at)

    async def _execute_all(self, step: Step, steps: deque[Step]) -> None:
        """Run the statement, with those that follow in the same transaction."""
        statements = [self.recording.statement(step)]
        end = next((to for at, to in self.recording.together if at <= step.at <= to), None)
        while end is not None and steps and steps[0].at <= end:
            if (following := steps.popleft()).direction == "sql":
                statements.append(self.recording.statement(following))
        await self._execute("; ".join(statements))
        if end is not None:
            await self.server.settled()

    async def _take(self, step: Step) -> None:
        match step.direction:
            case "open":
                await self._open(step)
            case "send":
                if (at := self._token_at(step)) is not None:
                    self.late.append((at, step))
                else:
                    await self._send(step)
            case "recv":
                await self._receive(step)
            case "fault":
                await self._terminate()
            case "make":
                await unrecorded.make(self.server, step.content["data"])
            case "http_error":
                pass  # compared when it was opened
            case "closed" if self.recording.closes:
                await self._closed(step)
            case "client_close":
                await self.server.nothing_for(self.clients[step.connection])
                await self.clients.pop(step.connection).connection.close()
            case _:
                pass

    async def _open(self, step: Step) -> None:
        url = recordings.with_tokens(step.content["url"], self._keys(), self.recording.lifetimes)
        lives = [int(life.rstrip("s")) for life in self.recording.lifetimes.values()]
        self.ends = time.time() + max(lives, default=0)
        path, _, query = url.partition("/socket/websocket")[2].partition("?")
        address = self.server.url.replace("http", "ws", 1) + f"/realtime/v1/websocket{path}?{query}"
        if "/socket/websocket" not in url:
            address = self.server.url.replace("http", "ws", 1) + "/realtime/v1/socket/websocket"
        headers = {"apikey": self.server.keys.publishable} if self.recording.header else {}
        answer = next((s for s in self.recording.steps if s.direction == "http_error"), None)
        try:
            opening = connect(address, additional_headers=headers, max_size=None)
            connection = await self.server.stack.enter_async_context(opening)
        except InvalidStatus as exc:
            response = exc.response
            found = response.status_code, (response.body or b"").decode()
            if answer is None or found != (answer.content["status"], answer.content["body"]):
                raise Differs(f"refused: {found}") from exc
            expected = answer.content["headers"].get(
                "content-type", response.headers["content-type"]
            )
            if response.headers["content-type"] != expected:
                raise Differs(f"refused with {response.headers}") from exc
            return
        if answer is not None:
            raise Differs("not refused")
        version = "2.0.0" if "vsn=2" in address else "1.0.0"
        self.clients[step.connection] = Client(connection, version)
        self.early[step.connection] = deque()

    def _keys(self, signer: Keys | None = None) -> Keys:
        opened = any(step.direction == "http_error" for step in self.recording.steps)
        return Keys.generate() if self.recording.forged and opened else signer or self.server.keys

    def _token_at(self, step: Step) -> float | None:
        try:
            ref = json.loads(step.content["raw"])["ref"]
        except (ValueError, TypeError, KeyError):
            return None
        return self.recording.tokens_at.get(ref)

    async def _send(self, step: Step) -> None:
        raw = step.content["raw"]
        if '"phx_join"' in raw and self.written:  # those who are there have got it by now
            await self.server.settled()
            self.written = False
        forged = self.recording.forged and ('"ref": "2"' in raw or "join_" in self.recording.name)
        keys = Keys.generate() if forged else self.server.keys
        frame = recordings.with_tokens(raw, keys, self.recording.lifetimes)
        await self.clients[step.connection].connection.send(frame)

    async def _send_late(self, now: float) -> None:
        """Send the tokens that count from now on; what was written before does not see them."""
        while self.late and self.late[0][0] <= now:
            await self.server.settled()
            step = self.late.pop(0)[1]
            await self._send(step)
            early = self.early[step.connection]
            early.append(await self._raw(self.clients[step.connection], step))
            while recordings.kind(early[-1])[1] != "system":
                early.append(await self._raw(self.clients[step.connection], step))

    async def _wait_for_expiry(self) -> None:
        await asyncio.sleep(max(0, self.ends + MARGIN_SECONDS - time.time()))

    async def _execute(self, statement: str) -> None:
        """Run it; where statements are missing, with rows numbered as the frames show them."""
        for table in IDENTITY if self.recording.cut else ():
            if re.search(rf"insert into (public\.)?{table}\b", statement):
                number = self._first_id(table, statement)
                if number is not None:
                    await self._number(table, number)
        await self.server.sql(statement)
        self.written = True

    def _first_id(self, table: str, statement: str) -> int | None:
        for step in self.recording.steps:
            data = step.data()
            if data and (data["table"], data["type"]) == (table, "INSERT") and data["record"]:
                if step.frame in self.done:
                    continue
                if unrecorded.mentions(statement, data):
                    self.done.add(step.frame)
                    return int(data["record"]["id"])
        return None

    async def _receive(self, step: Step) -> None:
        data = step.data()
        if self.recording.cut and data is not None and self._unexplained(data):
            await self._make(data)
        self._compare(step, await self._next(step))

    async def _make(self, data: dict[str, Any]) -> None:
        """Once, however many connections it is shown to."""
        if (key := unrecorded.identity(data)) not in self.done:
            self.done.add(key)
            await unrecorded.make(self.server, data)

    def _compare(self, step: Step, frame: str) -> None:
        if self.recording.lifetimes:  # and so another time since a token expired
            raw = SECONDS.sub("<seconds>", step.frame)
            step, frame = (
                replace(step, content={**step.content, "raw": raw}),
                SECONDS.sub("<seconds>", frame),
            )
        self.compare(step, frame)

    def _unexplained(self, data: dict[str, Any]) -> bool:
        recorded = [s for s in self.recording.steps if s.direction == "sql"]
        if recorded and not self.recording.others:
            return False
        return not any(unrecorded.mentions(self.recording.statement(s), data) for s in recorded)

    async def _next(self, step: Step) -> str:
        """The next frame, or with `loose` the next of the recorded kind."""
        early, client = self.early[step.connection], self.clients[step.connection]
        if not self.recording.loose:
            return await self._raw(client, step)
        wanted = recordings.kind(step.frame)
        for frame in early:
            if recordings.kind(frame) == wanted:
                early.remove(frame)
                return frame
        while recordings.kind(frame := await self._raw(client, step)) != wanted:
            early.append(frame)
        return frame

    async def _raw(self, client: Client, step: Step) -> str:
        try:
            return await client.raw()
        except (TimeoutError, ConnectionClosed) as exc:
            raise Differs(f"at {step.at}: nothing came for {step.frame[:300]}") from exc

    async def _terminate(self) -> None:
        """End connections of Realtime's, and write what it then misses."""
        admin = self.server.database.dsn("supabase_admin")
        async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as connection:
            found = await connection.execute(
                "select pid, pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and application_name like %s",
                (self.recording.terminates,),
            )
            ended = [pid for pid, _ in await found.fetchall()]
            assert ended
            there = "select from pg_stat_activity where pid = any (%s)"
            while (await connection.execute(there, (ended,))).rowcount:
                pass  # the database has no event for it, and it takes a millisecond
        if self.recording.lost:
            await self.server.sql(self.recording.lost)
            await self.server.settled()

    async def _closed(self, step: Step) -> None:
        """The server closes, without a word before."""
        connection = self.clients.pop(step.connection).connection
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await connection.wait_closed()
        except TimeoutError as exc:
            raise Differs("not closed") from exc
        found = (connection.close_code, connection.close_reason)
        if found != (step.content["code"], step.content["reason"]):
            raise Differs(f"closed with {found}")

    async def _end(self) -> None:
        for name, client in self.clients.items():
            await self.server.nothing_for(client)
            if self.early[name]:
                raise Differs(f"not recorded: {self.early[name]}")
