"""The options of `python -m worker ingest` and `backtest`, and how their texts are read."""

from __future__ import annotations

import argparse
import codecs
import contextlib
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from worker.ingest.header import COLUMNS, column_named
from worker.ingest.meanings import columns_of, word
from worker.ingest.rows import Reading
from worker.ingest.times import Times
from worker.ingest.units import AMBIGUOUS, UnitError, stem, unit_named, unit_of, units_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ingest`."""
    parser.add_argument("file", metavar="FILE", help="CSV or .xlsx; - is CSV on standard input")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="show the first rows as understood and what would be refused; write nothing",
    )
    add_reading_arguments(parser)
    parser.add_argument(
        "--sheet", help="sheet of the workbook (the one whose header is understood best)"
    )
    parser.add_argument(
        "--refused",
        type=Path,
        metavar="FILE.csv",
        help="also write line and reason of each refused or quarantined row to this file",
    )


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a person may say about columns, words, units, times and encoding of a file."""
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        type=_renaming,
        metavar='"NAME=COLUMN"',
        help='what a column is called in the file, such as "Distanz (mi)=distance_km": a unit in '
        'the name is converted; "Day+Clock=timestamp" joins a date and its time; repeatable',
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_constant,
        metavar="COLUMN=VALUE",
        help="what all rows have, such as event_type=logistics; repeatable",
    )
    parser.add_argument(
        "--values",
        action="append",
        default=[],
        type=_values,
        metavar='"COLUMN:WORD=MEANING,..."',
        help='what words of the file mean, such as "LKW=truck,event_type:Lager=warehouse"; the '
        "column may be left out where the meaning tells it; repeatable",
    )
    parser.add_argument(
        "--units",
        action="append",
        default=[],
        type=_units,
        metavar="COLUMN=UNIT,...",
        help="units of the file where they are others and the header does not say so, such as "
        "distance=mi,load=t; distance means all distances; repeatable",
    )
    parser.add_argument(
        "--timezone",
        type=_zone,
        metavar="ZONE",
        help="zone of times that have none, such as Europe/Berlin (UTC)",
    )
    order = parser.add_mutually_exclusive_group()
    order.add_argument(
        "--day-first",
        action="store_true",
        default=None,
        help="05/01/2026 is the fifth of January",
    )
    order.add_argument(
        "--month-first",
        dest="day_first",
        action="store_false",
        help="05/01/2026 is the first of May",
    )
    parser.add_argument(
        "--time",
        choices=("text", "epoch-s", "epoch-ms"),
        default="text",
        help="times are text (the default), or seconds or milliseconds since 1970",
    )
    parser.add_argument(
        "--decimal",
        choices=("point", "comma"),
        help="decimal mark, where the numbers of the file do not show it",
    )
    parser.add_argument(
        "--encoding",
        type=_encoding,
        help="encoding of a file without byte order mark, such as windows-1252 (utf-8)",
    )


def reading_of(options: argparse.Namespace) -> Reading:
    """Give what a person said about the file."""
    units: dict[str, str] = {}
    distances = None
    for said in options.units:
        for name, unit in said:
            if name == "distance":
                distances = unit
            else:
                units[name] = unit
    values: dict[str, dict[str, str]] = {}
    for words in options.values:
        for column, written, meaning in words:
            values.setdefault(column, {})[written] = meaning
    return Reading(
        Times(options.time, options.timezone, options.day_first),
        options.decimal,
        dict(options.map),
        units,
        distances,
        values,
        dict(options.set),
    )


def _renaming(text: str) -> tuple[str, str]:
    name, sign, column = text.rpartition("=")
    if not sign or not name.strip():
        raise argparse.ArgumentTypeError(f'{text!r} is not "NAME=COLUMN"')
    return name.strip(), _column(column)


def _constant(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not value.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not COLUMN=VALUE")
    return _column(name), value.strip()


def _values(text: str) -> list[tuple[str, str, str]]:
    words: list[tuple[str, str, str]] = []
    before = ""
    for part in text.split(","):
        if "=" not in part:  # a comma of the word itself
            before += f"{part},"
            continue
        words.append(_word(before + part))
        before = ""
    if before:
        raise argparse.ArgumentTypeError(f'{text!r} is not "COLUMN:WORD=MEANING,..."')
    return words


def _word(text: str) -> tuple[str, str, str]:
    written, _, meaning = (part.strip() for part in text.rpartition("="))
    if not written or not meaning:
        raise argparse.ArgumentTypeError(f'{text!r} is not "COLUMN:WORD=MEANING"')
    prefix, sign, rest = written.partition(":")
    if sign and (column := column_named(prefix.strip().lower())):
        return column, word(rest), meaning
    columns = columns_of(meaning)
    if len(columns) != 1:
        which = f"may be a word of {' or '.join(columns)}" if columns else "is a word of no column"
        raise argparse.ArgumentTypeError(
            f'{meaning!r} {which}: say which, --values "{(columns or ["vehicle_type"])[0]}:{text}"'
        )
    return columns[0], word(written), meaning


def _units(text: str) -> list[tuple[str, str]]:
    units = []
    for part in text.split(","):
        name, sign, unit = (each.strip().lower() for each in part.partition("="))
        if not sign:
            raise argparse.ArgumentTypeError(f"{part!r} is not COLUMN=UNIT")
        column = _measured(name, unit)
        try:
            unit = unit_of(column, unit)
        except UnitError as error:
            if not units_of(column):
                reason = f"{column} has no units, not {unit!r}"
            elif unit_named(unit) in AMBIGUOUS:
                reason = f"{error}: say which"
            else:
                reason = f"{column} has one of {', '.join(units_of(column))}, not {unit!r}"
            raise argparse.ArgumentTypeError(reason) from None
        units.append(("distance" if name == "distance" else column, unit))
    return units


def _measured(name: str, unit: str) -> str:
    """The column that --units means: by its name, or by its name without the unit."""
    if name in COLUMNS:
        return name
    named = unit_named(unit)
    wanted = {named, *AMBIGUOUS.get(named or "", ())}
    longer = [column for column in COLUMNS if units_of(column) and stem(column) == name]
    fitting = [column for column in longer if wanted & units_of(column).keys()]
    if len(fitting) == 1 or (longer and not fitting):
        return (fitting or longer)[0]
    return _column(name)


def _column(text: str) -> str:
    """A column by one of its names, or by its name without the unit: `distance`, `distance_km`."""
    name = text.strip().lower()
    if found := column_named(name):
        return found
    longer = [column for column in COLUMNS if name in (stem(column), column.rpartition("_")[0])]
    if len(longer) != 1:
        raise argparse.ArgumentTypeError(f"{name!r} is none of the columns {', '.join(COLUMNS)}")
    return longer[0]


def _zone(text: str) -> ZoneInfo:
    with contextlib.suppress(ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no time zone such as Europe/Berlin")


def _encoding(text: str) -> str:
    try:
        return codecs.lookup(text).name if "a".encode(text) else text
    except LookupError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no encoding such as utf-8, utf-16-le or windows-1252"
        ) from None
