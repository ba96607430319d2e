"""What a number of kilograms is made of: products of a quantity and a published factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

ZERO = Decimal(0)

# Quality of the data; the worst input counts.
METERED, DECLARED, MODELLED, ASSUMED, PROXY = 1, 2, 3, 4, 5


def decimal(value: float) -> Decimal:
    """Give the decimal that the number is printed as."""
    return Decimal(repr(value))


def to_the_gram(kilograms: Decimal) -> float:
    """Round once, half to even, to 0.001 kg."""
    return float(round(kilograms, 3))


@dataclass(slots=True)
class Term:
    """`quantity` times kg CO2e per `unit`: of the operation (ttw) and of the energy's supply (wtt).

    `kind` decides the scope: fuel, electricity or heat. `scope2` is the part of `wtt` per unit that
    is generation of electricity, None where the source does not part it. `how` is a format
    and its arguments: where ttw and wtt come from when they are no factor as printed.
    """

    label: str
    kind: str
    quantity: Decimal
    unit: str
    ttw: Decimal
    wtt: Decimal
    ids: tuple[str, ...]
    year: int | None
    scope2: Decimal | None = None
    biogenic: Decimal | None = None
    how: tuple[Any, ...] = ()

    @property
    def text(self) -> str:
        return self.how[0].format(*self.how[1:]) if self.how else ""

    @property
    def kg_ttw(self) -> Decimal:
        return self.quantity * self.ttw

    @property
    def kg_wtt(self) -> Decimal:
        return self.quantity * self.wtt


class Record:
    """Inputs with their origin, flags and quality, while an estimate is made."""

    __slots__ = ("assumed", "dq", "flags", "inputs")

    def __init__(self, dq: int = METERED) -> None:
        self.inputs: dict[str, tuple[Any, str]] = {}
        self.flags: list[str] = []
        self.dq = dq
        self.assumed = False

    def take(self, name: str, value: Any, origin: str = "event") -> None:
        """Note an input and whether the event, a setting or an assumption gave it."""
        self.inputs[name] = (value, origin)

    def assume(self, name: str, value: Any, flag: str, dq: int = ASSUMED) -> None:
        """Note an input that nobody gave."""
        self.take(name, value, "assumed")
        self.assumed = True
        self.flag(flag)
        self.lower(dq)

    def flag(self, name: str) -> None:
        if name not in self.flags:
            self.flags.append(name)

    def lower(self, dq: int) -> None:
        """Let the quality be `dq` at best."""
        if dq > self.dq:
            self.dq = dq


class Grid(NamedTuple):
    """Which electricity was counted."""

    country: str
    year: int
    basis: str


@dataclass(slots=True)
class Estimate:
    """One way to the kilograms of an event: exact sums of its terms."""

    terms: Sequence[Term]
    method: str
    record: Record
    ttw: Decimal
    wtt: Decimal
    total: Decimal
    vehicle_class: str | None = None
    kg_per_km: float | None = None
    grid: Grid | None = None

    @classmethod
    def of(
        cls,
        terms: Sequence[Term],
        method: str,
        record: Record,
        vehicle_class: str | None = None,
        kg_per_km: float | None = None,
        grid: Grid | None = None,
    ) -> Estimate:
        """Add the terms up."""
        ttw = wtt = ZERO
        for term in terms:
            ttw += term.quantity * term.ttw
            wtt += term.quantity * term.wtt
        return cls(terms, method, record, ttw, wtt, ttw + wtt, vehicle_class, kg_per_km, grid)
