"""Decides which subscriber gets what of the changes of one poll."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from emulator.realtime.changes import Change, Shape, refused
from emulator.realtime.filters import Binding, Filter
from emulator.realtime.outbox import packed
from emulator.realtime.phoenix import Version, encode_push
from emulator.realtime.tables import Key, Table, Viewer

NO_KEY = "Error 400: Bad Request, no primary key"
NOT_ALLOWED = "Error 401: Unauthorized"

Test = tuple[str, bool, int, str | None, str]  # operator, negated, type, value, filter's value
Selection = tuple[str, ...] | None


class Answers(Protocol):
    """The answers of the database about values and filters of a poll."""

    def json(self, type_oid: int, text: str) -> str:
        """JSON of a value."""

    def passes(self, test: Test) -> bool:
        """Whether a value passes a filter."""


@dataclass(eq=False, slots=True)
class Subscriber:
    """A subscribed channel: `tables` holds its bindings with their ids, for each table's oid.

    `push` takes a packed frame and must not block; `renew` is called when the bindings may mean
    other tables than before.
    """

    topic: str
    vsn: Version
    viewer: Viewer
    tables: Mapping[int, Sequence[tuple[int, Binding]]]
    push: Callable[[bytes], None] = field(repr=False)
    renew: Callable[[], None] = field(repr=False)
    gone: bool = False  # it gets nothing of a poll that has begun


class _Verdict(Enum):
    SHOWN = "shown"
    HIDDEN = "hidden"
    REFUSED = "refused"


class Fanout:
    """The changes of one poll, with the tables and answers that belong to that moment.

    `visible` has the rows that each viewer may see, for tables with row level security.
    """

    def __init__(
        self,
        tables: Mapping[int, Table],
        answers: Answers,
        visible: Mapping[Viewer, AbstractSet[tuple[int, Key]]],
    ) -> None:
        self._tables = tables
        self._answers = answers
        self._visible = visible
        self._shapes: dict[tuple[int, str, Selection], tuple[object, Shape]] = {}
        self._rendered: dict[tuple[str, Selection], str] = {}
        self._rendered_change: Change | None = None

    def offer(self, change: Change, subscribers: Sequence[Subscriber]) -> int:
        """Push `change` to those that want it and may see it; how many bindings it was for."""
        served = 0
        table = self._tables[change.relation.oid]
        verdicts: dict[Viewer, _Verdict] = {}
        frames: dict[tuple[object, ...], bytes] = {}
        for subscriber in subscribers:
            viewer = subscriber.viewer
            if viewer not in verdicts:
                verdicts[viewer] = self._verdict(change, table, viewer)
            verdict = verdicts[viewer]
            if verdict is _Verdict.HIDDEN:
                continue
            unreadable = verdict is _Verdict.REFUSED
            for select, ids in self._matches(change, subscriber, unreadable).items():
                key = (subscriber.vsn, subscriber.topic, ids, viewer.role, select)
                frame = frames.get(key)
                if frame is None:
                    data = self._data(change, viewer.role, select)
                    frame = frames[key] = _frame(subscriber, data, ids)
                subscriber.push(frame)
                served += len(ids)
        return served

    def _verdict(self, change: Change, table: Table, viewer: Viewer) -> _Verdict:
        if refusal(change, table, viewer.role) is not None:
            return _Verdict.REFUSED
        if not table.rls or change.action == "DELETE":
            return _Verdict.SHOWN
        row = (table.oid, primary_key(change, table))
        return _Verdict.SHOWN if row in self._visible.get(viewer, ()) else _Verdict.HIDDEN

    def _matches(
        self, change: Change, subscriber: Subscriber, unreadable: bool
    ) -> dict[Selection, tuple[int, ...]]:
        """The ids of the bindings that get the change, apart for each selection of columns.

        The real server tells everyone about a refusal, whatever their filters are.
        """
        groups: dict[Selection, tuple[int, ...]] = {}
        for id_, binding in subscriber.tables[change.relation.oid]:
            if binding.action not in (None, change.action):
                continue
            if unreadable or not binding.filters or self._passes(change, binding):
                groups[binding.select] = (id_, *groups.get(binding.select, ()))
        return groups

    def _passes(self, change: Change, binding: Binding) -> bool:
        tests = (filter_test(change, filter_) for filter_ in binding.filters)
        return all(test is not None and self._answers.passes(test) for test in tests)

    def _data(self, change: Change, role: str, select: Selection) -> str:
        """The `data` of the message, remembered for the change that is being offered."""
        if self._rendered_change is not change:
            self._rendered_change = change
            self._rendered.clear()
        if (role, select) not in self._rendered:
            self._rendered[role, select] = self._render(change, role, select)
        return self._rendered[role, select]

    def _render(self, change: Change, role: str, select: Selection) -> str:
        relation, table = change.relation, self._tables[change.relation.oid]
        if (error := refusal(change, table, role)) is not None:
            return refused(change, error)
        key = (table.oid, role, select)
        known = self._shapes.get(key)
        if known is None or known[0] is not relation:
            known = self._shapes[key] = (relation, Shape(relation, table, role, select))
        return known[1].data(change, self._answers.json)


def _frame(subscriber: Subscriber, data: str, ids: Sequence[int]) -> bytes:
    payload = f'{{"data":{data},"ids":[{",".join(map(str, ids))}]}}'
    return packed(encode_push(subscriber.vsn, subscriber.topic, "postgres_changes", payload))


def refusal(change: Change, table: Table, role: str) -> str | None:
    """The error that takes the row's place for `role`; a DELETE is never refused."""
    if change.action == "DELETE":
        return None
    if not table.keys:
        return NO_KEY
    return None if table.keys <= table.selectable[role] else NOT_ALLOWED


def primary_key(change: Change, table: Table) -> Key:
    """The texts of the new row's primary key, in the table's order of columns."""
    values = (change.current(column.name) for column in table.columns if column.key)
    return tuple(value for value in values if isinstance(value, str))


def filter_test(change: Change, filter_: Filter) -> Test | None:
    """The question whether `change` passes; None when it lacks the column, so that it cannot.

    A DELETE has its identity only, an UPDATE lacks large values that it did not touch.
    """
    of = change.identity if change.action == "DELETE" else change.current
    value = of(filter_.column)
    if not isinstance(value, str | None):
        return None
    type_oid = next(c.type_oid for c in change.relation.columns if c.name == filter_.column)
    return filter_.operator, filter_.negated, type_oid, value, filter_.value
