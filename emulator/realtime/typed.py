"""Questions about values that only the database can answer, asked in few queries and remembered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import LiteralString

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from emulator.realtime import values
from emulator.realtime.fanout import Test
from emulator.realtime.filters import condition

REMEMBERED = 20_000
MAX_REMEMBERED_CHARACTERS = 500
OF_NULL = ("is", "isdistinct")  # the operators that null can pass


class Typed:
    """JSON of values and outcomes of filters, exactly as PostgreSQL has them.

    The caller asks for everything that a batch needs with `learn`, then reads it synchronously.
    """

    def __init__(self) -> None:
        self._json: OrderedDict[tuple[int, str], str] = OrderedDict()
        self._passed: OrderedDict[Test, bool] = OrderedDict()
        self._long: list[tuple[int, str]] = []  # kept for one batch only

    def json(self, type_oid: int, text: str) -> str:
        """JSON of a value.

        Raises:
            KeyError: It was not learned and is not simple.
        """
        simple = values.known(type_oid, text)
        return self._json[type_oid, text] if simple is None else simple

    def passes(self, test: Test) -> bool:
        """Whether a value passes a filter.

        Raises:
            KeyError: It was not learned.
        """
        operator, _, _, value, _ = test
        if value is None and operator not in OF_NULL:
            return False  # as in SQL, also when negated
        return self._passed[test]

    async def learn(
        self,
        connection: AsyncConnection[TupleRow],
        wanted: Iterable[tuple[int, str]],
        tests: Iterable[Test],
        types: Mapping[int, str],
    ) -> None:
        """Make `json` and `passes` answer these; `types` are SQL names. Raises psycopg.Error."""
        self._forget()
        unknown: dict[int, dict[str, None]] = {}
        for type_oid, text in wanted:
            if values.known(type_oid, text) is None and (type_oid, text) not in self._json:
                unknown.setdefault(type_oid, {})[text] = None
        for type_oid, texts in unknown.items():
            await self._learn_json(connection, type_oid, types[type_oid], list(texts))
        open_tests: dict[tuple[str, bool, int, str], dict[Test, None]] = {}
        for test in tests:
            operator, negated, type_oid, value, right = test
            if test not in self._passed and (value is not None or operator in OF_NULL):
                word = right if operator == "is" else ""
                open_tests.setdefault((operator, negated, type_oid, word), {})[test] = None
        for (operator, negated, type_oid, word), group in open_tests.items():
            check = condition(operator, negated, types[type_oid], "u.a", word or "u.b")
            await self._learn_passed(connection, check, list(group))

    def _forget(self) -> None:
        """Called between batches, so that nothing learned for the current one is lost."""
        while len(self._json) > REMEMBERED:
            self._json.popitem(last=False)
        while len(self._passed) > REMEMBERED:
            self._passed.popitem(last=False)
        for key in self._long:
            self._json.pop(key, None)
        self._long.clear()

    async def _learn_json(
        self, connection: AsyncConnection[TupleRow], type_oid: int, kind: str, texts: list[str]
    ) -> None:
        query = _query(
            "select coalesce(to_jsonb(u.v::{})::text, 'null')"
            " from unnest(%s::text[]) with ordinality as u(v, n) order by u.n",
            kind,
        )
        cursor = await connection.execute(query, (texts,))
        found = await cursor.fetchall()
        for text, (json,) in zip(texts, found, strict=True):
            self._json[type_oid, text] = json
            if len(text) > MAX_REMEMBERED_CHARACTERS:
                self._long.append((type_oid, text))

    async def _learn_passed(
        self, connection: AsyncConnection[TupleRow], check: str, tests: list[Test]
    ) -> None:
        query = _query(
            "select coalesce({}, false)"
            " from unnest(%s::text[], %s::text[]) with ordinality as u(a, b, n) order by u.n",
            check,
        )
        sides = ([test[3] for test in tests], [test[4] for test in tests])
        cursor = await connection.execute(query, sides)
        for test, (passed,) in zip(tests, await cursor.fetchall(), strict=True):
            self._passed[test] = passed


def _query(template: LiteralString, part: str) -> sql.Composed:
    """`part` holds operators of ours and type names that the catalog query has quoted."""
    return sql.SQL(template).format(sql.SQL(part.replace("%", "%%")))
