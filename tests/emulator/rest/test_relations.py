"""Which relationship a request means, without a database."""

from __future__ import annotations

import pytest

from emulator.rest import relations
from emulator.rest.errors import ApiError
from emulator.rest.relations import ForeignKey, Relation

# Films have a director, actors play in films and are nominated for them, and know each other.
KEYS = [
    ForeignKey("films_director_fkey", "films", "directors", (("director", "id"),)),
    ForeignKey("roles_film_fkey", "roles", "films", (("film", "id"),)),
    ForeignKey("roles_actor_fkey", "roles", "actors", (("actor", "id"),)),
    ForeignKey("nominations_film_fkey", "nominations", "films", (("film", "id"),)),
    ForeignKey("nominations_actor_fkey", "nominations", "actors", (("actor", "id"),)),
    ForeignKey("actors_teacher_fkey", "actors", "actors", (("teacher", "id"),)),
    ForeignKey("scripts_film_fkey", "scripts", "films", (("film", "id"),), unique=True),
]
PRIMARY_KEYS = {"roles": ["film", "actor"], "nominations": ["film", "actor", "year"]}
KNOWN = relations.of(KEYS, PRIMARY_KEYS)


def find(origin: str, target: str, hint: str | None = None) -> Relation:
    return relations.find(KNOWN, "public", origin, target, hint)


@pytest.mark.parametrize(
    ("origin", "target", "hint", "cardinality", "foreign"),
    [
        ("films", "directors", None, "many-to-one", "directors"),
        ("films", "director", None, "many-to-one", "directors"),
        ("films", "films_director_fkey", None, "many-to-one", "directors"),
        ("films", "directors", "id", "many-to-one", "directors"),
        ("directors", "films", None, "one-to-many", "films"),
        ("directors", "films", "director", "one-to-many", "films"),
        ("films", "scripts", None, "one-to-one", "scripts"),
        ("scripts", "films", None, "one-to-one", "films"),
        ("films", "actors", "roles", "many-to-many", "actors"),
        ("actors", "films", "nominations", "many-to-many", "films"),
        ("actors", "actors", None, "one-to-many", "actors"),
        ("actors", "actors", "teacher", "one-to-many", "actors"),
        ("actors", "actors", "actors_teacher_fkey", "one-to-many", "actors"),
        ("actors", "teacher", None, "many-to-one", "actors"),
    ],
)
def test_names_and_hints_mean_one_relationship(
    origin: str, target: str, hint: str | None, cardinality: str, foreign: str
) -> None:
    found = find(origin, target, hint)
    assert (found.table, found.foreign, found.cardinality) == (origin, foreign, cardinality)


def test_two_junctions_are_told_apart_by_their_names() -> None:
    with pytest.raises(ApiError) as refused:
        find("films", "actors")
    error = refused.value
    assert (error.status, error.code) == (300, "PGRST201")
    assert error.details == [
        {
            "cardinality": "many-to-many",
            "embedding": "films with actors",
            "relationship": "roles using roles_film_fkey(film) and roles_actor_fkey(actor)",
        },
        {
            "cardinality": "many-to-many",
            "embedding": "films with actors",
            "relationship": "nominations using nominations_film_fkey(film)"
            " and nominations_actor_fkey(actor)",
        },
    ]
    assert error.hint is not None
    assert "one of the following: 'actors!roles', 'actors!nominations'. Find" in error.hint


@pytest.mark.parametrize(
    ("origin", "target", "hint", "suggestion"),
    [
        ("films", "director_", None, "Perhaps you meant 'directors' instead of 'director_'."),
        ("film", "directors", None, "Perhaps you meant 'films' instead of 'film'."),
        ("films", "directors", "nothing", None),
        ("films", "quux", None, None),
        ("directors", "actors", None, None),
        ("actors", "teacher", "actors_teacher_fkey", None),
    ],
)
def test_none_is_refused_with_what_is_close(
    origin: str, target: str, hint: str | None, suggestion: str | None
) -> None:
    with pytest.raises(ApiError) as refused:
        find(origin, target, hint)
    assert refused.value.code == "PGRST200"
    assert suggestion is None or refused.value.hint == suggestion


def test_a_table_whose_keys_are_not_its_primary_key_is_no_junction() -> None:
    known = relations.of(KEYS, {"roles": ["id"]})
    with pytest.raises(ApiError):
        relations.find(known, "public", "films", "actors", None)


def test_the_columns_that_are_compared_are_known() -> None:
    assert find("films", "directors").needed == ("director",)
    assert find("directors", "films").needed == ("id",)
    assert find("films", "actors", "roles").needed == ("id",)
