"""The table of a run, for a terminal and for docs/resilience.md. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.verdict import Line, Verdict

COLUMNS = (
    "fault",
    "used",
    "committed",
    "withheld",
    "worst s",
    "lost",
    "duplicates",
    "resets",
    "resumes",
)


def text(verdict: Verdict) -> str:
    """For a terminal."""
    rows = [COLUMNS, *map(_cells, verdict.lines)]
    widths = [max(len(row[number]) for row in rows) for number in range(len(COLUMNS))]
    lines = [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([*lines, "", *_summary(verdict), "", *_outcome(verdict)])


def markdown(verdict: Verdict, command: str) -> str:
    """For docs/resilience.md."""
    lines = [f"`{command}`: " + " ".join(_summary(verdict)), "", _row(COLUMNS)]
    lines.append("|---|" + "---:|" * (len(COLUMNS) - 1))
    return "\n".join([*lines, *(_row(_cells(line)) for line in verdict.lines)]) + "\n"


def _cells(line: Line) -> tuple[str, ...]:
    used = str(line.uses) if line.effective == line.uses else f"{line.effective} of {line.uses}"
    numbers = (line.lost, line.duplicates, line.resets, line.resumes)
    return (
        line.fault,
        used,
        str(line.committed),
        str(line.withheld),
        f"{line.worst:.2f}",
        *map(str, numbers),
    )


def _summary(verdict: Verdict) -> Sequence[str]:
    found = verdict
    relays = f"{found.relays} relay{'s' * (found.relays > 1)}"
    committed = f"{found.committed:,} changes committed in {found.seconds:.0f} s"
    clients = f"{found.clients} clients on {relays}, {found.deliveries:,} versions delivered"
    losses = f"Lost {found.lost}, duplicates {found.duplicates}, late {found.late}"
    resets = f"{found.resumes} resumes, {found.resets} resets, {found.resets_by_epoch} more"
    return (
        f"{committed}, {found.transactions_in_doubt} transactions in doubt; {clients}.",
        f"{losses}; the slowest took {found.worst:.2f} s.",
        f"{resets} because the database had another history.",
        *_machine(verdict.waiting),
    )


def _machine(waiting: float | None) -> Sequence[str]:
    """Delays say little about the relays where nobody gets a processor."""
    return (
        () if waiting is None else (f"Somebody waited for a processor {waiting:.0%} of the time.",)
    )


def _outcome(verdict: Verdict) -> Sequence[str]:
    return ["FAILED", *(f"- {failure}" for failure in verdict.failures)] * bool(
        verdict.failures
    ) or ["passed"]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
