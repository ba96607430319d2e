"""Times of events: read strictly, as UTC. What may be read in two ways is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

Form = Literal["text", "epoch-s", "epoch-ms"]
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
SOONEST_TOO_LATE = timedelta(days=1)
MOST_HOURS_FROM_UTC = 14

_HALF = r"(?: ?([AP])\.?M\b\.?)?"
_CLOCK = r"(\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?" + _HALF
_ZONE = r" ?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?"
# RFC 3339, and pandas: a blank for the T, any number of decimals.
_EXTENDED = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?" + _ZONE + ")?",
    re.ASCII | re.IGNORECASE,
)
_ISO_HALF = re.compile(rf"(\d{{4}})-(\d\d)-(\d\d) {_CLOCK}", re.ASCII | re.IGNORECASE)
# ISO 8601 basic, also without the T.
_BASIC = re.compile(
    r"(\d{4})(\d\d)(\d\d)(?:[T ]?(\d\d)(\d\d)(?:(\d\d)(?:[.,](\d{1,9}))?)?" + _ZONE + ")?",
    re.ASCII | re.IGNORECASE,
)
# Excel: 05.01.2026 9:14 is the day first wherever dots are used, 2026/1/5 9:14 the year.
_DOTS = re.compile(rf"(\d\d?)\.(\d\d?)\.(\d{{4}})(?:,? {_CLOCK})?", re.ASCII | re.IGNORECASE)
_YEAR_FIRST = re.compile(rf"(\d{{4}})/(\d\d?)/(\d\d?)(?: {_CLOCK})?", re.ASCII | re.IGNORECASE)
# 05/01/2026 is the fifth of January or the first of May.
_YEAR_LAST = re.compile(
    rf"(\d\d?)([/-])(\d\d?)\2(\d{{4}})(?:,? {_CLOCK})?", re.ASCII | re.IGNORECASE
)
# The cell of a time beside that of its date; Excel's date has a midnight.
_CLOCK_CELL = re.compile(rf"{_CLOCK}{_ZONE}", re.ASCII | re.IGNORECASE)
_MIDNIGHT = re.compile(r"[ T]00:00(:00(\.0+)?)?")
_EPOCH = re.compile(r"(\d{1,15})(?:\.(\d{0,9}))?", re.ASCII)
_BLANKS = re.compile(r"[\u00a0\u202f\s]+")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Times:
    """Reads the times of one file.

    `zone` is that of times without one (UTC when None); `unzoned` counts them. `day_first` says how
    05/01/2026 is meant; None: such a time is refused. `clock` tells the time of today.
    """

    form: Form = "text"
    zone: tzinfo | None = None
    day_first: bool | None = None
    clock: Callable[[], datetime] = _now
    unzoned: int = 0
    _latest: datetime = field(init=False)

    def __post_init__(self) -> None:
        self._latest = self.clock() + SOONEST_TOO_LATE

    def utc(self, text: str, clock: str = "") -> str:
        """Give the time as RFC 3339 in UTC, to the microsecond.

        `clock` is the time of day where it has a cell of its own. Raises ValueError with a reason
        for the person who wrote the row.
        """
        given = text
        try:
            if clock:
                given = f"{text} {clock}"
                text = _joined(text, clock)
            moment = self._text(text) if self.form == "text" else self._epoch(text)
        except _Refused as refused:
            raise ValueError(f"timestamp {given!r} {refused}") from None
        except (ValueError, OverflowError):
            raise ValueError(f"timestamp {given!r} is no time: that day or hour is none") from None
        if moment < EARLIEST:
            raise ValueError(f"timestamp {given!r} is before the year {EARLIEST.year}")
        if moment > self._latest:
            raise ValueError(f"timestamp {given!r} is later than tomorrow")
        return moment.isoformat()

    def _epoch(self, text: str) -> datetime:
        match = _EPOCH.fullmatch(text)
        if match is None:
            raise _Refused(f"is not a number of {self.form}, as --time says")
        whole, decimals = int(match[1]), f"{match[2] or '':<06}".replace(" ", "0")[:6]
        moment = datetime(1970, 1, 1, tzinfo=UTC)
        if self.form == "epoch-s":
            return moment + timedelta(seconds=whole, microseconds=int(decimals))
        return moment + timedelta(milliseconds=whole, microseconds=int(decimals[:3]))

    def _text(self, text: str) -> datetime:
        if match := _EXTENDED.fullmatch(text) or _BASIC.fullmatch(text):
            year, month, day, hour, minute, second, decimals, zone = match.groups()
            return self._moment((year, month, day), (hour, minute, second, decimals), zone)
        text = _BLANKS.sub(" ", text)
        if match := _DOTS.fullmatch(text):
            day, month, year, *clock, half = match.groups()
        elif match := _YEAR_FIRST.fullmatch(text) or _ISO_HALF.fullmatch(text):
            year, month, day, *clock, half = match.groups()
        elif match := _YEAR_LAST.fullmatch(text):
            one, _, two, year, *clock, half = match.groups()
            day, month = self._day_and_month(one, two)
        else:
            raise _Refused(_hint(text))
        if half is not None:
            clock[0] = _hour(int(clock[0]), half)
        return self._moment((year, month, day), clock, None)

    def _day_and_month(self, one: str, two: str) -> tuple[str, str]:
        may_be_first, may_be_second = int(two) <= 12, int(one) <= 12
        if self.day_first is None:
            if may_be_first and may_be_second:
                raise _Refused(
                    f"has the day or the month first: say --day-first for {one} as the day, "
                    f"--month-first for {two}"
                )
            if may_be_first:
                raise _Refused(f"has the day first, as {one} is no month: say --day-first")
            if may_be_second:
                raise _Refused(f"has the month first, as {two} is no month: say --month-first")
        elif self.day_first and may_be_second and not may_be_first:
            raise _Refused(f"has the month first, as {two} is no month, against --day-first")
        elif self.day_first is False and may_be_first and not may_be_second:
            raise _Refused(f"has the day first, as {one} is no month, against --month-first")
        return (one, two) if self.day_first else (two, one)

    def _moment(
        self,
        date: tuple[str, str, str],
        clock: list[str | None] | tuple[str | None, ...],
        zone: str | None,
    ) -> datetime:
        hour, minute, second, decimals = clock
        year, month, day = map(int, date)
        naive = datetime(
            year,
            month,
            day,
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int(f"{decimals or '':0<6}"[:6]),
        )
        if zone is not None:
            return (naive - _offset(zone)).replace(tzinfo=UTC)
        self.unzoned += 1
        if self.zone is None:
            return naive.replace(tzinfo=UTC)
        # Of an hour that comes twice, the first; one that is skipped does not exist.
        moment = naive.replace(tzinfo=self.zone).astimezone(UTC)
        if moment.astimezone(self.zone).replace(tzinfo=None) != naive:
            raise _Refused(f"does not exist in {self.zone}: the clocks were put forward")
        return moment


class _Refused(Exception):
    """Why a text is no time; it follows the text in the message."""


def _joined(date: str, clock: str) -> str:
    match = _CLOCK_CELL.fullmatch(_BLANKS.sub(" ", clock))
    if match is None:
        raise _Refused(f"has {clock!r} beside it, which is not a time of day such as 09:14")
    hour, minute, second, decimals, half, zone = match.groups()
    if half is not None:
        hour = _hour(int(hour), half)
    parts = f"{int(hour):02d}:{minute}:{second or '00'}.{decimals or '0'}"
    if midnight := _MIDNIGHT.search(date):
        date = date[: midnight.start()] if midnight.end() == len(date) else date
    if len(date) == 8 and date.isdigit():
        date = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    return f"{date} {parts}{zone or ''}"


def _hour(hour: int, half: str) -> str:
    if not 1 <= hour <= 12:
        raise _Refused("has an hour beyond 12 beside AM or PM")
    return str(hour % 12 + (12 if half in "Pp" else 0))


def _offset(zone: str) -> timedelta:
    if zone[0] not in "+-":
        return timedelta()
    digits = zone[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    if minutes > 59 or hours * 60 + minutes > MOST_HOURS_FROM_UTC * 60:
        raise _Refused(f"has the zone {zone}, which is nowhere")
    offset = timedelta(hours=hours, minutes=minutes)
    return -offset if zone[0] == "-" else offset


def _hint(text: str) -> str:
    known = "is not a time such as 2026-01-05 09:14:02, 2026-01-05T09:14:02Z or 05.01.2026 09:14"
    number = _EPOCH.fullmatch(text)
    if number is None:
        return known
    if len(number[1]) == 13:
        return f"{known}; are these milliseconds since 1970? Then say --time epoch-ms"
    if len(number[1]) in (9, 10):
        return f"{known}; are these seconds since 1970? Then say --time epoch-s"
    return f"{known}; format the column as a date in Excel" if len(number[1]) == 5 else known
