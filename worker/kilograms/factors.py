"""Sets of emission factors: read from CSV files, checked, and found by vehicle, fuel and country.

Factors are decimals as printed in their source. A set may hold several years of one factor: an
event gets that of its own year, else the latest earlier one, else the earliest later one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from importlib import resources
from pathlib import Path
from typing import NamedTuple, TypeVar

from worker import vehicles
from worker.kilograms.countries import WORLD, alpha3
from worker.kilograms.terms import Grid

DESNZ, EMBER = "desnz-2025-v1", "ember-2023"
BUNDLED = ("desnz-2025.csv", "vehicles.csv", "fuels.csv", "grid.csv", "sources.csv")
NAME = f"{DESNZ}+{EMBER}"
TONNE_KM = {
    "ambient": ("27_304_3140_14_1", "28_907_3140_14_1"),
    "refrigerated": ("27_306_3140_14_1", "28_908_3140_14_1"),
}
UNITS = ("litre", "kg", "tonne", "kWh", "kWh_gross", "kWh_net", "m3")
WEAK_BACKING = ("single-source", "derived")
MOST_BYTES = 10_000_000

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "vehicles": ("vehicle", "fuel", "class", "ttw_average", "wtt_average", "factor_set"),
    "fuels": ("fuel", "unit", "ttw", "wtt", "factor_set"),
    "grid": ("iso3", "year", "g_total", "source"),
}


class FactorError(Exception):
    """A file of factors cannot be used; the text names file, line and remedy."""


class Points(NamedTuple):
    """kg CO2e per km at 0, 50 and 100 % of the payload, and at the average load of the fleet.

    All are the average where the load makes no difference, or none that is known.
    """

    empty: Decimal
    half: Decimal
    full: Decimal
    average: Decimal


@dataclass(frozen=True, slots=True)
class VehicleFactor:
    """A row of `vehicles.csv`."""

    label: str  # for people
    vehicle: str
    fuel: str
    cls: str
    temperature: str
    region: str
    ttw: Points
    wtt: Points
    average: float  # kg CO2e per km, well to wheel
    payload_kg: Decimal | None
    kwh_per_km: Decimal | None
    ids: Mapping[tuple[str, ...], tuple[str, ...]] = field(repr=False)  # of points
    ids_ttw: tuple[str, ...]
    ids_wtt: tuple[str, ...]
    factor_set: str
    year: int | None
    weak: bool

    @property
    def laden(self) -> bool:
        """Whether the factor depends on the load."""
        return self.payload_kg is not None


PARTLY = "gives some but not all of empty, half, full and payload_t_full"
POINT_SETS: tuple[tuple[str, ...], ...] = (
    ("empty",),
    ("empty", "half"),
    ("half", "full"),
    ("average",),
)


def _of_points(ids: tuple[str, ...], points: tuple[str, ...]) -> Iterator[str]:
    """Four ids are those of the points; what comes after them belongs to each."""
    if len(ids) < len(Points._fields):
        yield from ids
        return
    yield from (ids[Points._fields.index(point)] for point in points)
    yield from ids[len(Points._fields) :]


@dataclass(frozen=True, slots=True)
class FuelFactor:
    """kg CO2e per unit of a fuel or of heat."""

    fuel: str
    unit: str
    ttw: Decimal
    wtt: Decimal
    biogenic: Decimal | None
    ids: tuple[str, ...]
    factor_set: str
    year: int | None
    weak: bool


@dataclass(frozen=True, slots=True)
class GridFactor:
    """kg CO2e per kWh of electricity; `generation` is None where only a life-cycle total exists."""

    label: str  # for people
    grid: Grid
    total: Decimal
    generation: Decimal | None
    ids: tuple[str, ...]
    year: int
    weak: bool


@dataclass(frozen=True, slots=True)
class FactorSet:
    """Everything that kilograms are computed from; `name` and `sha256` tell it from any other."""

    name: str
    sha256: str
    rows: Mapping[str, Decimal] = field(repr=False)
    _vehicles: Mapping[tuple[str, str, str, str], tuple[VehicleFactor, ...]] = field(repr=False)
    _fuels: Mapping[tuple[str, str], tuple[FuelFactor, ...]] = field(repr=False)
    _grid: Mapping[str, tuple[GridFactor, ...]] = field(repr=False)
    classes: Mapping[str, str] = field(repr=False)  # spelling in small letters -> class
    # Single trucks with their payloads in kg, smallest first.
    truck_classes: tuple[tuple[str, Decimal], ...] = field(repr=False)

    def vehicle(
        self, vehicle: str, fuel: str, cls: str, temperature: str, year: int | None
    ) -> VehicleFactor | None:
        found = self._vehicles.get((vehicle, fuel, cls, temperature))
        return _of_year(found, year) if found else None

    def fuel(self, fuel: str, unit: str, year: int | None) -> FuelFactor | None:
        found = self._fuels.get((fuel, unit))
        return _of_year(found, year) if found else None

    def grid(self, iso3: str, year: int | None) -> GridFactor | None:
        found = self._grid.get(iso3)
        return _of_year(found, year) if found else None

    def walk(self) -> Iterator[VehicleFactor | FuelFactor | GridFactor]:
        """Give every factor that can be used."""
        for table in (self._vehicles, self._fuels, self._grid):
            for found in table.values():
                yield from found


TRUCK_CLASSES = ("rigid_7_5", "rigid_17", "rigid_over_17", "artic_33", "artic_over_33")


Factor = TypeVar("Factor", VehicleFactor, FuelFactor, GridFactor)


def _of_year(found: Sequence[Factor], year: int | None) -> Factor:
    """Factors are sorted by year; one without a year counts as the oldest."""
    if year is None or len(found) == 1:
        return found[-1]
    for factor in reversed(found):
        if (factor.year or 0) <= year:
            return factor
    return found[0]


def qualified(factor_set: str, name: str) -> str:
    """Give an id with its set, since the sources use the same ids every year."""
    if not re.match(r"-?\d", name):
        return name  # it names its set itself
    sign, body = ("-", name[1:]) if name.startswith("-") else ("", name)
    return f"{sign}{factor_set}:{body}"


def load(own: Iterable[Path] = ()) -> FactorSet:
    """Read the bundled set, and files of the user's own whose rows come on top of it.

    Each own file has the columns of the bundled `vehicles.csv`, `fuels.csv` or `grid.csv`. Raises
    FactorError.
    """
    folder = resources.files("worker.kilograms") / "data"
    bundled = {name: (folder / name).read_bytes() for name in BUNDLED}
    files = [_File(name, content) for name, content in bundled.items()]
    own_files = [_File(path.name, _content(path), str(path)) for path in own]
    digest = hashlib.sha256()
    for file in (*files, *own_files):
        digest.update(f"{file.name}\0{len(file.content)}\0".encode() + file.content)
    tables = _Tables()
    rows = {row["id"]: _decimal(row, "kg_co2e") for row in files[0].rows()}
    tables.take(files[1], lambda row: row["factor_set"] == DESNZ)
    tables.take(files[2], lambda row: row["factor_set"] == DESNZ)
    tables.add_fuels_per_kg(rows)
    tables.take(files[3], lambda row: row["preferred"] == "yes")
    for file in own_files:
        tables.take(file, lambda row: row.get("preferred") != "no")
    name = "+".join((NAME, *(Path(file.name).stem for file in own_files)))
    return tables.made(name, digest.hexdigest(), rows)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as exc:
        raise FactorError(f"{path} cannot be read: {exc.strerror}") from exc
    if len(content) > MOST_BYTES:
        raise FactorError(f"{path} is larger than {MOST_BYTES} bytes: is it a file of factors?")
    return content


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    content: bytes
    shown: str = ""

    def fail(self, reason: str, line: int | None = None) -> FactorError:
        place = f"{self.shown or self.name}" + (f" line {line}" if line else "")
        return FactorError(f"{place}: {reason}")

    def rows(self) -> Iterator[dict[str, str]]:
        """Give each row, stripped, with its line number under the empty name."""
        try:
            text = self.content.decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            raise self.fail("is not UTF-8") from exc
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        try:
            for row in reader:
                if None in row or None in row.values():
                    raise self.fail("has another number of fields than the header", reader.line_num)
                yield {name: value.strip() for name, value in row.items()} | {
                    "": str(reader.line_num)
                }
        except csv.Error as exc:
            raise self.fail(f"is not CSV: {exc}", reader.line_num) from exc


def _decimal(row: Mapping[str, str], column: str) -> Decimal:
    number = _optional(row, column)
    if number is None:
        raise ValueError(f"{column} is empty")
    return number


def _optional(row: Mapping[str, str], column: str) -> Decimal | None:
    text = row.get(column, "")
    if not text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{column} {text!r} is not a number with a decimal point") from None
    if not number.is_finite() or number.is_signed() or number > 10**6:
        raise ValueError(f"{column} {text!r} is not a number from 0 to 1000000")
    return number


def _year(text: str) -> int | None:
    found = re.search(r"(?<!\d)(?:19|20|21)\d\d(?!\d)", text)
    return int(found[0]) if found else None


def _weak(row: Mapping[str, str]) -> bool:
    return row.get("backing", "").startswith(WEAK_BACKING)


def _ids(row: Mapping[str, str], column: str) -> tuple[str, ...]:
    return tuple(name for name in row.get(column, "").split("|") if name)


def _points(row: Mapping[str, str], kind: str) -> tuple[Points, bool]:
    """Give the points, and whether the row has those of the load: all three, else none."""
    average = _decimal(row, f"{kind}_average")
    given = [_optional(row, f"{kind}_{point}") for point in Points._fields[:3]]
    match [point for point in given if point is not None]:
        case []:
            return Points(average, average, average, average), False
        case [empty, half, full]:
            return Points(empty, half, full, average), True
        case _:
            raise ValueError(PARTLY)


def _vehicle(row: Mapping[str, str]) -> tuple[tuple[str, str, str, str], VehicleFactor]:
    vehicle, fuel, cls = row["vehicle"], row["fuel"], row["class"]
    if vehicle not in vehicles.VEHICLES.values():
        raise ValueError(f"vehicle {vehicle!r} is unknown ({vehicles.known_vehicles()})")
    if not cls:
        raise ValueError("class is empty")
    temperature = row.get("temperature") or "ambient"
    payload = _optional(row, "payload_t_full")
    if payload == 0:
        raise ValueError("payload_t_full is 0")
    (ttw, ttw_by_load), (wtt, wtt_by_load) = _points(row, "ttw"), _points(row, "wtt")
    if not ttw_by_load == wtt_by_load == (payload is not None):
        raise ValueError(PARTLY)
    factor_set = row["factor_set"]
    ids_ttw, ids_wtt = _ids(row, "ids_ttw"), _ids(row, "ids_wtt")
    of_points = {
        points: tuple(
            qualified(factor_set, name)
            for ids in (ids_ttw, ids_wtt)
            for name in _of_points(ids, points)
        )
        or (f"{factor_set}:{vehicle}/{fuel}/{cls}",)
        for points in POINT_SETS
    }
    factor = VehicleFactor(
        label=f"{vehicle} {cls} {fuel}, {temperature}",
        vehicle=vehicle,
        fuel=fuel,
        cls=cls,
        temperature=temperature,
        region=row.get("region", ""),
        ttw=ttw,
        wtt=wtt,
        average=float(ttw.average + wtt.average),
        payload_kg=None if payload is None else payload * 1000,
        kwh_per_km=_optional(row, "kwh_per_km"),
        ids=of_points,
        ids_ttw=ids_ttw,
        ids_wtt=ids_wtt,
        factor_set=factor_set,
        year=_year(factor_set),
        weak=_weak(row),
    )
    return (vehicle, fuel, cls, temperature), factor


def _fuel(row: Mapping[str, str]) -> tuple[tuple[str, str], FuelFactor]:
    fuel, unit = row["fuel"], row["unit"]
    if not fuel:
        raise ValueError("fuel is empty")
    if unit not in UNITS:
        raise ValueError(f"unit {unit!r} is unknown (known: {', '.join(UNITS)})")
    ids = tuple(
        qualified(row["factor_set"], name)
        for column in ("id_ttw", "id_wtt")
        if (name := row.get(column, ""))
    )
    return (fuel, unit), FuelFactor(
        fuel,
        unit,
        _decimal(row, "ttw"),
        _decimal(row, "wtt"),
        _optional(row, "biogenic_co2"),
        ids or (f"{row['factor_set']}:{fuel}/{unit}",),
        row["factor_set"],
        _year(row["factor_set"]),
        _weak(row),
    )


def _grid(row: Mapping[str, str]) -> tuple[str, GridFactor]:
    iso3 = row["iso3"] if row["iso3"] == WORLD else alpha3(row["iso3"])
    if not re.fullmatch(r"(19|20|21)\d\d", row["year"]):
        raise ValueError(f"year {row['year']!r} is not a year such as 2025")
    total, generation = _decimal(row, "g_total"), _optional(row, "g_generation")
    # A life-cycle figure holds the supply chain too: nothing of it is generation alone.
    basis = row.get("basis") or "stated"
    separate = basis == "direct" and generation is not None
    ids = tuple(
        qualified(DESNZ if row["source"].startswith("DESNZ 2025") else row["source"], name)
        for name in _ids(row, "source_id")
    )
    year = int(row["year"])
    return iso3, GridFactor(
        f"grid of {iso3} ({basis})",
        Grid(iso3, year, basis),
        total / 1000,
        generation / 1000 if separate and generation is not None else None,
        ids or (f"{row['source']}:{iso3}",),
        year,
        _weak(row),
    )


class _Tables:
    """Factors by what finds them, while they are read."""

    def __init__(self) -> None:
        self._vehicles: dict[tuple[str, str, str, str], dict[int | None, VehicleFactor]] = {}
        self._fuels: dict[tuple[str, str], dict[int | None, FuelFactor]] = {}
        self._grid: dict[str, dict[int | None, GridFactor]] = {}

    def take(self, file: _File, wanted: Callable[[Mapping[str, str]], bool]) -> None:
        """Read a file; its rows replace those of earlier files with the same meaning and year."""
        kind, seen = None, set()
        for row in file.rows():
            line = int(row[""])
            kind = kind or self._kind(file, row)
            try:
                if not wanted(row):
                    continue
                key, factor = self._made(kind, row)
            except ValueError as exc:
                raise file.fail(str(exc), line) from exc
            if (key, factor.year) in seen:
                raise file.fail(
                    f"says {'/'.join(key) if isinstance(key, tuple) else key} again", line
                )
            seen.add((key, factor.year))
        if kind is None:
            raise file.fail("has no row")

    def _kind(self, file: _File, row: Mapping[str, str]) -> str:
        for kind, columns in COLUMNS.items():
            if all(column in row for column in columns):
                return kind
        needed = "; or ".join(", ".join(columns) for columns in COLUMNS.values())
        raise file.fail(f"the header must have the columns {needed}", 1)

    def _made(
        self, kind: str, row: Mapping[str, str]
    ) -> tuple[tuple[str, ...] | str, VehicleFactor | FuelFactor | GridFactor]:
        match kind:
            case "vehicles":
                of_vehicle, vehicle = _vehicle(row)
                self._vehicles.setdefault(of_vehicle, {})[vehicle.year] = vehicle
                return of_vehicle, vehicle
            case "fuels":
                of_fuel, fuel = _fuel(row)
                self._fuels.setdefault(of_fuel, {})[fuel.year] = fuel
                return of_fuel, fuel
            case _:
                iso3, grid = _grid(row)
                self._grid.setdefault(iso3, {})[grid.year] = grid
                return iso3, grid

    def add_fuels_per_kg(self, rows: Mapping[str, Decimal]) -> None:
        """Add what the official file states per tonne, where `fuels.csv` has litres alone."""
        for (fuel, unit), found in list(self._fuels.items()):
            if unit != "litre" or (fuel, "kg") in self._fuels:
                continue
            for year, factor in found.items():
                ids = tuple(name.replace("_8_1", "_15_1") for name in factor.ids)
                ttw, wtt = (rows.get(name.partition(":")[2]) for name in ids)
                if ttw is not None and wtt is not None:
                    per_kg = replace(
                        factor, unit="kg", ttw=ttw / 1000, wtt=wtt / 1000, biogenic=None, ids=ids
                    )
                    self._fuels.setdefault((fuel, "kg"), {})[year] = per_kg

    def made(self, name: str, sha256: str, rows: Mapping[str, Decimal]) -> FactorSet:
        trucks = [
            (payload, cls)
            for cls in TRUCK_CLASSES
            if (payload := _payload(self._vehicles, cls)) is not None
        ]
        return FactorSet(
            name,
            sha256,
            rows,
            {key: _by_year(found) for key, found in self._vehicles.items()},
            {key: _by_year(found) for key, found in self._fuels.items()},
            {key: _by_year(found) for key, found in self._grid.items()},
            {cls.lower(): cls for _, _, cls, _ in self._vehicles},
            tuple((cls, payload) for payload, cls in sorted(trucks)),
        )


def _payload(
    found: Mapping[tuple[str, str, str, str], Mapping[int | None, VehicleFactor]], cls: str
) -> Decimal | None:
    return _by_year(found["truck", "diesel", cls, "ambient"])[-1].payload_kg


def _by_year(found: Mapping[int | None, Factor]) -> tuple[Factor, ...]:
    return tuple(sorted(found.values(), key=lambda factor: factor.year or 0))
