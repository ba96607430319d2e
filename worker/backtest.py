"""How good the detector is on a labelled file: judged as the worker would, without a database."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from worker.detection.observation import DAY, Rules, Verdict
from worker.detection.observation import Change as Found
from worker.events import Event, Implausible, Key, UnusableEvent
from worker.findings import Findings
from worker.ingest.files import BadRow, CsvRecords, FileError, Record
from worker.ingest.header import folded
from worker.ingest.rows import EventRows, GoodRow, Reading
from worker.ingest.writing import Zeros
from worker.kilograms.energy import Basis
from worker.predictions import predict
from worker.readings import Kilograms, Reader
from worker.suppliers import Suppliers

NORMAL = frozenset(("", "normal", "ok", "none", "no", "false", "0"))
FOUND_WITHIN = 3  # events of the key after the end of an anomaly, which count for it
NOTHING: dict[str, Any] = {
    "clock": None,
    "keys": [],
    "detectors": [],
    "inputs": [],
    "episodes": [],
    "suppliers": [],
}


class Labelled:
    """The records of a file, whose labels are kept by line. Raises FileError without the column."""

    def __init__(self, source: CsvRecords, column: str) -> None:
        self._source = source
        names = [folded(name) for name in source.header]
        if folded(column) not in names:
            raise FileError(f"--labels names {column}, which the header lacks")
        self._place = names.index(folded(column))
        self.header = source.header
        self.commas_separate = source.commas_separate
        self.mark = source.mark
        self.first_column = source.first_column
        self.labels: dict[int, str] = {}

    def __iter__(self) -> Iterator[Record | BadRow]:
        for record in self._source:
            if isinstance(record, Record) and len(record.cells) > self._place:
                self.labels[record.line] = record.cells[self._place].strip().lower()
            yield record


@dataclass(slots=True)
class Judged:
    """An event of the file with its label and what was found; `ratio` is kg to expected kg."""

    key: Key
    time: float  # epoch seconds
    label: str
    usable: bool = True
    hot: bool = False
    opened: bool = False
    is_open: bool = False
    ratio: float | None = None
    covers_since: float | None = None  # of a period that opened an episode

    @property
    def normal(self) -> bool:
        return self.label in NORMAL


@dataclass(slots=True)
class Kind:
    """What became of one kind of anomaly: how many there are, and the delay in events.

    All events of `held` ones were quarantined, or not usable: the detectors never saw them.
    `recall` is the share of found ones among the others, None if there are none; `caught` that of
    found and held ones among all.
    """

    anomalies: int = 0
    held: int = 0
    found: int = 0
    recall: float | None = None
    caught: float | None = None
    median_delay: float | None = None


@dataclass(slots=True)
class Report:
    """The figures of a backtest; shares are None where nothing is to be divided, see `Kind`."""

    events: int = 0
    refused: int = 0
    quarantined: int = 0
    keys: int = 0
    suppliers: int = 0
    supplier_weeks: float = 0.0
    hotspots: int = 0
    false_hotspots: int = 0
    false_per_supplier_week: float | None = None
    precision: float | None = None
    anomalies: int = 0
    held: int = 0
    recall: float | None = None
    caught: float | None = None
    normal_events: int = 0
    normal_events_hot: int = 0
    kinds: dict[str, Kind] = field(default_factory=dict)
    notices: dict[str, int] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """Give it as plain JSON."""
        return asdict(self)

    def __str__(self) -> str:
        hot = self.normal_events_hot / max(self.normal_events, 1)
        held = f", {self.held} more are held in quarantine" if self.held else ""
        lines = [
            (
                f"{self.events} events of {self.suppliers} suppliers ({self.keys} keys); refused "
                f"{self.refused}, quarantined {self.quarantined}"
            ),
            (
                f"hotspots {self.hotspots}, of them false {self.false_hotspots}: "
                f"{_shown(self.false_per_supplier_week, 3)} per supplier-week"
            ),
            (
                f"precision {_shown(self.precision)}, recall {_shown(self.recall)} of "
                f"{self.anomalies - self.held} anomalies{held}; {hot:.2%} of the normal events hot"
            ),
            "",
            (
                f"{'kind':<24}{'anomalies':>10}{'held':>6}{'found':>8}{'recall':>8}{'caught':>8}"
                f"{'delay':>14}"
            ),
        ]
        for name, kind in sorted(self.kinds.items()):
            delay = "-" if kind.median_delay is None else f"{kind.median_delay:g} events"
            lines.append(
                f"{name:<24}{kind.anomalies:>10}{kind.held:>6}{kind.found:>8}"
                f"{_shown(kind.recall):>8}{_shown(kind.caught):>8}{delay:>14}"
            )
        if self.notices:
            told = ", ".join(f"{name} {number}" for name, number in sorted(self.notices.items()))
            lines += ["", f"notices: {told}"]
        return "\n".join(lines)


def _shown(share: float | None, digits: int = 2) -> str:
    return "-" if share is None else f"{share:.{digits}f}"


def read(
    source: CsvRecords, column: str, reading: Reading
) -> tuple[list[tuple[dict[str, Any], str]], int]:
    """Give the events of a file with their labels in order of event time, and the rows refused."""
    labelled = Labelled(source, column)
    rows, refused, zeros = [], 0, Zeros()
    for row in EventRows(labelled, reading):
        if isinstance(row, GoodRow):
            zeros.see(row.values)
            rows.append((row.values, labelled.labels.get(row.line, "")))
        else:
            refused += 1
    missing = zeros.columns()  # as ingest takes them
    for values, _ in rows:
        for name in missing[values["event_type"]]:
            values.pop(name, None)
    return sorted(rows, key=lambda pair: str(pair[0]["timestamp"])), refused


def run(
    rows: Iterable[tuple[dict[str, Any], str]], basis: Basis, reader: Reader, rules: Rules
) -> tuple[list[Judged], Counter[str]]:
    """Judge the events as one scan of all would; give them, and the number of notices by kind."""
    findings = Findings(NOTHING, rules, wall=None)
    suppliers = Suppliers([], basis.factors.truck_classes)
    judged: list[Judged] = []
    notices: Counter[str] = Counter()
    for number, (values, label) in enumerate(rows, start=1):
        given = dict(values)
        moment = datetime.fromisoformat(given.pop("timestamp"))
        for name in ("route_id", "warehouse_id", "factory_id"):
            given.pop(name, None)
        event = Event(id=number, occurred_at=moment, **given)
        seen = Judged(event.key, moment.timestamp(), label)
        judged.append(seen)
        outcome = predict(event, suppliers, basis)
        if isinstance(outcome, (Implausible, UnusableEvent)):
            seen.usable = False
            continue
        at = reader.moment(event)
        reading = reader.reading(event, Kilograms.of(outcome), at)
        result = findings.take(event.key, at, reading)
        notices.update(notice.kind for notice in result.notices)
        seen.usable = result.unit_fault is None
        seen.hot = result.hot
        seen.is_open = findings.key(event.key).episode is not None
        for finding in result.findings:
            _note(seen, finding.verdict, finding.period is not None)
            if finding.period is not None and finding.verdict.change is Found.OPENED:
                seen.covers_since = finding.period.since * DAY - at.offset
        seen.opened = any(transition.change.opens for transition in result.changes)
    return judged, notices


def _note(seen: Judged, verdict: Verdict, is_period: bool) -> None:
    if not is_period and verdict.expected_kg:
        seen.ratio = verdict.ratio


def report(judged: Sequence[Judged], notices: Counter[str], refused: int) -> Report:
    """Count what was found against the labels.

    Neighbouring events of a key with the same label are one anomaly. It is found when an episode
    stands open at one of its events, or up to FOUND_WITHIN events later. A hotspot is false when
    it opens on a normal event that is not so close behind an abnormal one; one of the period
    series when none of its days has an abnormal event.
    """
    by_key: dict[Key, list[Judged]] = defaultdict(list)
    for seen in judged:
        by_key[seen.key].append(seen)
    made = Report(events=len(judged), refused=refused, keys=len(by_key), notices=dict(notices))
    made.quarantined = sum(not seen.usable for seen in judged)
    delays: dict[str, list[int]] = defaultdict(list)
    for events in by_key.values():
        _count_hotspots(made, events)
        for label, first, last in _anomalies(events):
            kind = made.kinds.setdefault(label, Kind())
            kind.anomalies += 1
            if not any(event.usable for event in events[first : last + 1]):
                kind.held += 1
                continue
            upto = min(last + 1 + FOUND_WITHIN, len(events))
            place = next((p for p in range(first, upto) if events[p].is_open), None)
            if place is not None:
                kind.found += 1
                delays[label].append(place - first)
    _finish(made, by_key, delays)
    return made


def _count_hotspots(made: Report, events: Sequence[Judged]) -> None:
    abnormal_at = -FOUND_WITHIN - 1
    for place, seen in enumerate(events):
        if seen.normal:
            made.normal_events += 1
            made.normal_events_hot += seen.hot
        else:
            abnormal_at = place
        if not seen.opened:
            continue
        made.hotspots += 1
        since = seen.covers_since
        covered = since is not None and any(
            not other.normal and other.time >= since for other in events[: place + 1]
        )
        made.false_hotspots += place - abnormal_at > FOUND_WITHIN and not covered


def _anomalies(events: Sequence[Judged]) -> Iterator[tuple[str, int, int]]:
    first = 0
    for place, seen in enumerate(events):
        if place and seen.label != events[place - 1].label:
            first = place
        ends = place + 1 == len(events) or events[place + 1].label != seen.label
        if ends and not seen.normal:
            yield seen.label, first, place


def _finish(made: Report, by_key: dict[Key, list[Judged]], delays: dict[str, list[int]]) -> None:
    spans: dict[str, list[float]] = defaultdict(list)
    for key, events in by_key.items():
        spans[key.entity] += [events[0].time, events[-1].time]
    made.suppliers = len(spans)
    made.supplier_weeks = sum(max(times) - min(times) for times in spans.values()) / (7 * DAY)
    for label, kind in made.kinds.items():
        kind.recall, kind.caught = _shares(kind.anomalies, kind.held, kind.found)
        kind.median_delay = statistics.median(delays[label]) if delays[label] else None
    made.anomalies = sum(kind.anomalies for kind in made.kinds.values())
    made.held = sum(kind.held for kind in made.kinds.values())
    found = sum(kind.found for kind in made.kinds.values())
    made.recall, made.caught = _shares(made.anomalies, made.held, found)
    if made.hotspots:
        made.precision = 1 - made.false_hotspots / made.hotspots
    if made.supplier_weeks:
        made.false_per_supplier_week = made.false_hotspots / made.supplier_weeks


def _shares(anomalies: int, held: int, found: int) -> tuple[float | None, float | None]:
    """Recall, and the share that was caught: found, or held in quarantine."""
    recall = found / (anomalies - held) if anomalies > held else None
    return recall, (found + held) / anomalies if anomalies else None
