"""A JSON text that is parsed piece by piece says the same as one that is parsed in one go."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.upstream.rest import JsonText

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
INDENTS = st.sampled_from([None, 0, 2])


@given(st.lists(VALUES), INDENTS)
def test_the_elements_of_an_array(values: list[Any], indent: int | None) -> None:
    text = JsonText(f" \n{json.dumps(values, indent=indent)}\t")
    assert list(text.elements()) == values
    text.end()


@given(st.dictionaries(st.text(), VALUES), INDENTS)
def test_the_members_of_an_object(values: dict[str, Any], indent: int | None) -> None:
    text = JsonText(json.dumps(values, indent=indent))
    assert {name: text.value() for name in text.members()} == values
    text.end()


def test_an_array_within_an_object_is_parsed_as_far_as_it_is_asked_for() -> None:
    text = JsonText('{"a": 1, "rows": [1, 2, nonsense')
    members = text.members()
    assert (next(members), text.value(), next(members)) == ("a", 1, "rows")
    elements = text.elements()
    assert [next(elements), next(elements)] == [1, 2]
    with pytest.raises(ValueError, match="Expecting value"):
        next(elements)


def read(text: JsonText, array: bool) -> None:
    if array:
        list(text.elements())
    else:
        for _ in text.members():
            text.value()
    text.end()


@pytest.mark.parametrize("bad", ["", "{}", "null", "[1", "[1,]", "[,1]", "[1 2]", "[1] 2", '["x]'])
def test_what_is_no_array_is_found_out(bad: str) -> None:
    with pytest.raises(ValueError, match="char"):
        read(JsonText(bad), array=True)


@pytest.mark.parametrize("bad", ["", "[]", "null", "{", '{"a"', '{"a":', '{"a":1', '{"a":1,}'])
def test_what_is_no_object_is_found_out(bad: str) -> None:
    with pytest.raises(ValueError, match="char"):
        read(JsonText(bad), array=False)


@pytest.mark.parametrize("bad", ["{1:2}", '{"a" 1}', '{"a":1}{}'])
def test_what_is_not_quite_an_object_is_found_out(bad: str) -> None:
    with pytest.raises(ValueError, match="char"):
        read(JsonText(bad), array=False)
