"""What became of a run, as numbers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from chaos.arrivals import Arrivals
from chaos.catalog import KINDS, Kind
from chaos.holdings import Lost
from chaos.incidents import Incidents
from chaos.ledger import Ledger, Version
from chaos.schedule import Use

TWICE = ("duplicate", "stale")
MOST_RESETS = 0.01  # of the resumes


@dataclass(frozen=True)
class Line:
    """One fault: `effective` of its `uses` met something; times in seconds."""

    fault: str
    uses: int
    effective: int
    committed: int
    withheld: int
    worst: float
    lost: int
    duplicates: int
    resets: int
    resumes: int


@dataclass(frozen=True)
class Verdict:
    """The whole run; `failures` says in words why it is not passed, and is empty if it is.
    `waiting` is the share of the time in which somebody waited for a processor, None if unknown."""

    seconds: float
    clients: int
    relays: int
    committed: int
    transactions_in_doubt: int
    deliveries: int
    lost: int
    duplicates: int
    late: int
    worst: float
    resets: int
    resets_by_epoch: int
    resumes: int
    waiting: float | None
    lines: tuple[Line, ...]
    failures: tuple[str, ...]

    def shown(self) -> dict[str, Any]:
        """As JSON wants it."""
        return asdict(self)


@dataclass(frozen=True)
class Evidence:
    """What was written down during a run; `asked` says how often each fault had to be used,
    `bound` in seconds how long a change may take."""

    seconds: float
    clients: int
    relays: int
    bound: float
    ledger: Ledger
    incidents: Incidents
    arrivals: Arrivals
    uses: Sequence[Use]
    lost: Sequence[Lost]
    in_doubt: int
    waiting: float | None
    withheld: Callable[[Iterable[Version]], int]
    asked: Mapping[str, int]


def judge(found: Evidence) -> Verdict:
    """The verdict on a run."""
    names = [name for name in KINDS if any(use.planned.kind.name == name for use in found.uses)]
    lines = tuple(_line(found, KINDS[name]) for name in names)
    resets = found.incidents.reasons("reset")
    violations = found.incidents.violations()
    worst = max((delay.seconds for delay in found.arrivals.slowest), default=0.0)
    counts = found.incidents.counts(0, float("inf"))
    return Verdict(
        seconds=round(found.seconds, 1),
        clients=found.clients,
        relays=found.relays,
        committed=len(found.ledger),
        transactions_in_doubt=found.in_doubt,
        deliveries=found.arrivals.count,
        lost=len(found.lost),
        duplicates=sum(violations[kind] for kind in TWICE),
        late=found.arrivals.late,
        worst=round(worst, 2),
        resets=resets.total() - resets["epoch"],
        resets_by_epoch=resets["epoch"],
        resumes=counts["resume"],
        waiting=found.waiting,
        lines=lines,
        failures=tuple(_failures(found, lines, resets, counts["resume"])),
    )


def _line(found: Evidence, kind: Kind) -> Line:
    uses = [use for use in found.uses if use.planned.kind is kind]
    committed = withheld = effective = 0
    counts = Counter[str]()
    for use in uses:
        versions = found.ledger.committed(use.start, use.until)
        missing = found.withheld(versions)
        committed += len(versions)
        withheld += missing
        effective += use.done and (missing > 0 or not kind.withholds)
        counts += found.incidents.counts(use.start, use.until)
    return Line(
        fault=kind.name,
        uses=len(uses),
        effective=effective,
        committed=committed,
        withheld=withheld,
        worst=round(max((found.arrivals.worst(u.start, u.until) for u in uses), default=0), 2),
        lost=sum(any(_during(each, use) for use in uses) for each in found.lost),
        duplicates=sum(counts[kind] for kind in TWICE),
        resets=counts["reset"],
        resumes=counts["resume"],
    )


def _during(lost: Lost, use: Use) -> bool:
    return lost.version is not None and use.start <= lost.version.committed <= use.until


def _failures(
    found: Evidence, lines: Sequence[Line], resets: Mapping[str, int], resumes: int
) -> Iterable[str]:
    for lost in found.lost[:20]:
        yield f"lost: {lost.client} {lost.what}: {lost.version}, holds version {lost.holds}"
    if len(found.lost) > 20:
        yield f"lost: {len(found.lost) - 20} more"
    for kind, count in found.incidents.violations().items():
        yield f"{kind}: {count} times"
    yield from found.incidents.words
    if found.arrivals.late:
        yield f"late: {found.arrivals.late} times over {found.bound:g} s"
        for delay in found.arrivals.slowest[:-4:-1]:
            yield f"late: {delay.seconds:.1f} s: {delay.version} at {delay.client}"
    for ghost in found.arrivals.never_committed()[:10]:
        yield f"never committed, but delivered: {ghost}"
    others = sum(count for reason, count in resets.items() if reason != "epoch")
    if others > MOST_RESETS * resumes:
        yield f"resets: {others} beside those by epoch, {resumes} resumes: {dict(resets)}"
    if resets.get("epoch", 0) and not any(use.planned.kind.epoch for use in found.uses):
        yield f"resets: {resets['epoch']} by epoch, without a fault that changes it"
    used = {line.fault: line.effective for line in lines}
    for name, least in found.asked.items():
        if used.get(name, 0) < least:
            yield f"{name} was used {used.get(name, 0)} times to any effect, not {least} times"
