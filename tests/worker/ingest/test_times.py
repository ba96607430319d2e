import time
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.ingest.reading import NOW, times

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # RFC 3339 and what pandas writes
        ("2026-01-05T09:14:02Z", "2026-01-05T09:14:02+00:00"),
        ("2026-01-05t09:14:02z", "2026-01-05T09:14:02+00:00"),
        ("2026-01-05T09:14:02.5+01:00", "2026-01-05T08:14:02.500000+00:00"),
        ("2026-01-05 09:14:02.123456789", "2026-01-05T09:14:02.123456+00:00"),
        ("2026-01-05 09:14:02+00:00", "2026-01-05T09:14:02+00:00"),
        ("2026-01-05T09:14:02,25-0530", "2026-01-05T14:44:02.250000+00:00"),
        ("2026-01-05 09:14 UTC", "2026-01-05T09:14:00+00:00"),
        ("2026-01-05 09:14", "2026-01-05T09:14:00+00:00"),
        ("2026-01-05", "2026-01-05T00:00:00+00:00"),
        # ISO 8601 basic
        ("20230808120000Z", "2023-08-08T12:00:00+00:00"),
        ("20260103223516Z", "2026-01-03T22:35:16+00:00"),
        ("202601032238Z", "2026-01-03T22:38:00+00:00"),
        ("202601031215+0100", "2026-01-03T11:15:00+00:00"),
        ("20260105T091402.5+02", "2026-01-05T07:14:02.500000+00:00"),
        ("20260105T0914", "2026-01-05T09:14:00+00:00"),
        ("20260105091402", "2026-01-05T09:14:02+00:00"),
        ("20260105", "2026-01-05T00:00:00+00:00"),
        # Excel
        ("05.01.2026 09:14", "2026-01-05T09:14:00+00:00"),
        ("5.1.2026 9:14:02", "2026-01-05T09:14:02+00:00"),
        ("05.01.2026, 09:14", "2026-01-05T09:14:00+00:00"),
        ("05.01.2026", "2026-01-05T00:00:00+00:00"),
        ("2026/1/5 9:14", "2026-01-05T09:14:00+00:00"),
        ("05.01.2026\u00a009:14", "2026-01-05T09:14:00+00:00"),
    ],
)
def test_a_time_is_understood(text: str, expected: str) -> None:
    assert times().utc(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yesterday", "is not a time such as"),
        ("2026-02-30 09:00", "that day or hour is none"),
        ("2026-01-05 24:00", "that day or hour is none"),
        ("2026-01-05 09:60", "that day or hour is none"),
        ("20261305", "that day or hour is none"),
        ("2026-1-5 9:14", "is not a time such as"),
        ("2026-01-05T9:14:02Z", "is not a time such as"),
        ("2026-01-05T091402Z", "is not a time such as"),
        ("20260105T09:14:02Z", "is not a time such as"),
        ("2026010509", "is not a time such as"),
        ("2026-W02-1", "is not a time such as"),
        ("2026-01-05 09:14:02 CET", "is not a time such as"),
        ("2026-01-05 09:14:02+25:00", "has the zone +25:00, which is nowhere"),
        ("2026-01-05 09:14:02+14:30", "which is nowhere"),
        ("2026-01-05Z", "is not a time such as"),
        ("05.01.26 09:14", "is not a time such as"),
        ("5/1/2026", "say --day-first for 5 as the day, --month-first for 1"),
        ("25-01-2026 09:14", "has the day first, as 25 is no month: say --day-first"),
        ("1/13/2026", "has the month first, as 13 is no month: say --month-first"),
        ("13/13/2026", "that day or hour is none"),
        ("1767604442", "seconds since 1970? Then say --time epoch-s"),
        ("1767604442000", "milliseconds since 1970? Then say --time epoch-ms"),
        ("46027.385", "format the column as a date in Excel"),
        ("٢٠٢٦-01-05", "is not a time such as"),
        ("1999-12-31 23:59", "is before the year 2000"),
        ("0001-01-01T00:00:00+14:00", "that day or hour is none"),
        ("2026-12-01", "is later than tomorrow"),
        ("2126-01-05", "is later than tomorrow"),
    ],
)
def test_what_is_not_understood_for_certain_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match="timestamp") as refused:
        times().utc(text)
    assert expected in str(refused.value)


def test_tomorrow_is_accepted_for_clocks_that_differ() -> None:
    assert times().utc((NOW + timedelta(hours=23)).isoformat())


@pytest.mark.parametrize(
    ("day_first", "text", "expected"),
    [
        (True, "05/01/2026 09:14", "2026-01-05T09:14:00+00:00"),
        (True, "5-1-2026", "2026-01-05T00:00:00+00:00"),
        (False, "1/5/2026 9:14:02", "2026-01-05T09:14:02+00:00"),
        (False, "1/5/2026 9:14 PM", "2026-01-05T21:14:00+00:00"),
        (False, "1/5/2026 12:14\u202fam", "2026-01-05T00:14:00+00:00"),
        (False, "05.01.2026 09:14", "2026-01-05T09:14:00+00:00"),
    ],
)
def test_day_or_month_first_when_told(day_first: bool, text: str, expected: str) -> None:
    assert times(day_first=day_first).utc(text) == expected


@pytest.mark.parametrize(
    ("day_first", "text", "expected"),
    [
        (True, "1/13/2026", "has the month first, as 13 is no month, against --day-first"),
        (False, "13/1/2026", "has the day first, as 13 is no month, against --month-first"),
    ],
)
def test_a_time_in_the_other_order_than_told_says_so(
    day_first: bool, text: str, expected: str
) -> None:
    with pytest.raises(ValueError, match="timestamp") as refused:
        times(day_first=day_first).utc(text)
    assert str(refused.value).endswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-05 9:14 PM", "2026-01-05T21:14:00+00:00"),
        ("2026-01-05 12:14:02 am", "2026-01-05T00:14:02+00:00"),
        ("05.01.2026 09:14 p.m.", "2026-01-05T21:14:00+00:00"),
        ("2026/1/5 9:14PM", "2026-01-05T21:14:00+00:00"),
    ],
)
def test_am_and_pm_are_understood(text: str, expected: str) -> None:
    assert times().utc(text) == expected


def test_an_hour_beyond_twelve_is_neither_am_nor_pm() -> None:
    with pytest.raises(ValueError, match="has an hour beyond 12 beside AM or PM"):
        times().utc("2026-01-05 21:14 PM")


@pytest.mark.parametrize(
    ("date", "clock", "expected"),
    [
        ("2026-01-05", "9:14", "2026-01-05T09:14:00+00:00"),
        ("2026-01-05 00:00:00", "09:14:02.5", "2026-01-05T09:14:02.500000+00:00"),
        ("05.01.2026", "9:14 PM", "2026-01-05T21:14:00+00:00"),
        ("2026/1/5", "23:59", "2026-01-05T23:59:00+00:00"),
        ("2026-01-05", "09:14+01:00", "2026-01-05T08:14:00+00:00"),
        ("20260105", "09:14", "2026-01-05T09:14:00+00:00"),
    ],
)
def test_a_date_and_a_time_of_day_are_one_time(date: str, clock: str, expected: str) -> None:
    assert times().utc(date, clock) == expected


@pytest.mark.parametrize(("date", "clock"), [("2026-01-05 08:00", "09:14"), ("2026-01-05", "9")])
def test_a_date_with_a_time_of_its_own_or_no_time_is_refused(date: str, clock: str) -> None:
    with pytest.raises(ValueError, match=f"timestamp '{date} {clock}'"):
        times().utc(date, clock)


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("epoch-s", "1767604442", "2026-01-05T09:14:02+00:00"),
        ("epoch-s", "1767604442.25", "2026-01-05T09:14:02.250000+00:00"),
        ("epoch-ms", "1767604442007", "2026-01-05T09:14:02.007000+00:00"),
    ],
)
def test_epoch_times_when_told(form: str, text: str, expected: str) -> None:
    assert times(form=form).utc(text) == expected


@pytest.mark.parametrize(
    ("form", "text"), [("epoch-s", "1767604442007"), ("epoch-ms", "1767604442"), ("epoch-s", "x")]
)
def test_an_epoch_time_of_another_unit_is_refused(form: str, text: str) -> None:
    with pytest.raises(ValueError, match="timestamp"):
        times(form=form).utc(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-05 09:14", "2026-01-05T08:14:00+00:00"),
        ("2026-07-05 09:14", "2026-07-05T07:14:00+00:00"),
        ("05.07.2026 09:14", "2026-07-05T07:14:00+00:00"),
        ("2026-07-05 09:14Z", "2026-07-05T09:14:00+00:00"),
        ("2026-10-25 02:30", "2026-10-25T00:30:00+00:00"),  # comes twice: the first
    ],
)
def test_a_time_without_a_zone_is_of_the_zone_that_was_told(text: str, expected: str) -> None:
    assert times(zone=BERLIN).utc(text) == expected


def test_an_hour_that_the_clocks_skip_is_refused() -> None:
    with pytest.raises(ValueError, match="does not exist in Europe/Berlin"):
        times(zone=BERLIN).utc("2026-03-29 02:30")


def test_times_without_a_zone_are_counted() -> None:
    found = times()
    for text in ("2026-01-05", "2026-01-05 09:14Z", "05.01.2026 09:14"):
        found.utc(text)
    assert found.unzoned == 2


@given(st.datetimes(datetime(2000, 1, 2), datetime(2026, 11, 28)), st.integers(-14 * 60, 14 * 60))
def test_every_zone_becomes_utc(moment: datetime, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    aware = moment.replace(tzinfo=zone)
    assert datetime.fromisoformat(times().utc(aware.isoformat())) == aware
    assert times().utc(moment.isoformat(" ")) == moment.replace(tzinfo=UTC).isoformat()


@given(st.datetimes(datetime(2000, 1, 2), datetime(2026, 11, 28)))
def test_basic_and_extended_forms_are_the_same_time(moment: datetime) -> None:
    extended = times().utc(moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert times().utc(moment.strftime("%Y%m%d%H%M%SZ")) == extended
    assert times().utc(moment.strftime("%Y%m%dT%H%M%SZ")) == extended
    assert times().utc(moment.strftime("%d.%m.%Y %H:%M:%S")) == extended


def test_a_time_without_zone_is_utc_wherever_the_program_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        assert times().utc("2026-01-05 09:00:00") == "2026-01-05T09:00:00+00:00"
    time.tzset()
