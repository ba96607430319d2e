import pytest

from tests.worker.ingest.reading import rows, times, values
from worker.ingest.files import BadRow
from worker.ingest.numbers import Mark, Numbers
from worker.ingest.rows import Reading


def numbers(*sample: str, mark: Mark | None = None, commas: bool = False) -> Numbers:
    return Numbers(mark, sample, commas_separate=commas)


@pytest.mark.parametrize(
    ("sample", "text", "expected"),
    [
        (["12,5"], "1.234", "1234"),
        (["12,5"], "1.234,5", "1234.5"),
        (["12,5"], "1.234.567", "1234567"),
        (["0,125"], "1,500", "1.500"),
        (["1.234,56"], "7", "7"),
        (["12.5"], "1,234", "1234"),
        (["12.5"], "1,234.5", "1234.5"),
        (["0.125"], "1.500", "1.500"),
        (["12,5"], "1 234,5", "1234.5"),
        (["12,5"], "1\u202f234\u00a0567,5", "1234567.5"),
        (["12.5"], "1'234.5", "1234.5"),
        (["1 234,5"], "1.234", "1234"),
        (["1\u00a0234,5"], "1.234", "1234"),
        (["1\u202f234,567"], "1.234", "1234"),
        (["1\u2009234,5"], "1\u2009234,5", "1234.5"),
        (["1'234.5"], "1,234", "1234"),
        (["1\u2019234,5"], "1.234", "1234"),
        ([], "12,5", "12.5"),
        ([], "12.5", "12.5"),
        ([], "280", "280"),
        ([], "0.500", "0.500"),
        ([], "1.234.567", "1234567"),
    ],
)
def test_the_other_numbers_of_the_file_tell_the_decimal_mark(
    sample: list[str], text: str, expected: str
) -> None:
    assert numbers(*sample).canonical(text) == expected


@pytest.mark.parametrize(
    ("sample", "text", "expected"),
    [
        ([], "1.234", "may be 1.234 or 1234: say --decimal point or --decimal comma"),
        ([], "1,234", "may be 1.234 or 1234"),
        (["12,5", "12.5"], "1,234.5", "may be"),
        (["12,5"], "12.5", "is not a number with a decimal comma"),
        (["12.5"], "12,5", "is not a number with a decimal point"),
        (["12.5"], "1,23,456", "is not a number"),
        ([], "1 23", "is not a number"),
        ([], "", "is not a number"),
        ([], "12,5 km", "is not a number"),
        ([], "12%", "is not a number"),
    ],
)
def test_a_number_that_may_be_another_one_is_refused(
    sample: list[str], text: str, expected: str
) -> None:
    with pytest.raises(ValueError, match=r"^") as refused:
        numbers(*sample).canonical(text)
    assert expected in str(refused.value)


def test_a_person_may_say_the_decimal_mark() -> None:
    assert numbers(mark="comma").canonical("1,234") == "1.234"
    assert numbers(mark="point").canonical("1.234") == "1.234"


def test_programs_write_points_where_commas_separate_cells() -> None:
    assert numbers(commas=True).canonical("1.234") == "1.234"


def test_a_later_cell_may_be_the_first_that_tells() -> None:
    found = numbers()
    assert found.canonical("12,5") == "12.5"
    assert found.canonical("1.234") == "1234"


HEADER = "supplier_id;timestamp;event_type;distance_km;load_kg\n"


def test_a_file_with_decimal_commas_needs_no_option() -> None:
    file = HEADER + "A;05.01.2026 09:14;logistics;1.234,5;280,25\n"
    file += "A;05.01.2026 10:14;logistics;1.234;280\n"
    first, second = values(file)
    assert (first["distance_km"], first["load_kg"]) == (1234.5, 280.25)
    assert (second["distance_km"], second["load_kg"]) == (1234.0, 280.0)


def test_a_file_in_which_no_cell_tells_refuses_what_may_be_two_numbers() -> None:
    file = HEADER + "A;05.01.2026 09:14;logistics;1.234;280\n"
    (bad,) = rows(file)
    assert isinstance(bad, BadRow)
    assert "distance_km '1.234' may be 1.234 or 1234" in bad.reason
    (row,) = values(file, reading=Reading(times(), mark="comma"))
    assert row["distance_km"] == 1234.0
