"""The schema as requests need it: tables, functions, settings of roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from emulator.rest import errors
from emulator.rest.relations import Relations

Returns = Literal["void", "scalar", "row", "scalars", "rows"]
Volatility = Literal["i", "s", "v"]
SIMILARITY = 0.75


@dataclass(frozen=True)
class Column:
    """A column; `type` is SQL, and `default` the expression that fills it when it is missing."""

    name: str
    type: str
    default: str | None = None


@dataclass(frozen=True)
class Table:
    """A table, view or foreign table."""

    name: str
    columns: Mapping[str, Column]
    primary_key: tuple[str, ...] = ()

    @property
    def types(self) -> dict[str, str]:
        return {column.name: column.type for column in self.columns.values()}

    def column(self, name: str) -> Column:
        """The column of that name; raises ApiError PGRST204 when there is none."""
        if name not in self.columns:
            raise errors.unknown_column(self.name, name)
        return self.columns[name]


@dataclass(frozen=True)
class Argument:
    """An argument that goes into a function; `type` is SQL."""

    name: str
    type: str
    required: bool = True
    variadic: bool = False


@dataclass(frozen=True)
class Function:
    """One function; overloads share their name."""

    name: str
    arguments: tuple[Argument, ...]
    returns: Returns
    volatility: Volatility = "v"
    row_type: str | None = None
    settings: tuple[tuple[str, str], ...] = ()

    def accepts(self, names: frozenset[str]) -> bool:
        """Whether it can be called with arguments of exactly these names."""
        required = {argument.name for argument in self.arguments if argument.required}
        known = {argument.name for argument in self.arguments}
        return required <= names <= known

    def takes_whole_body(self, content_type: str) -> bool:
        """Whether its single unnamed argument takes a body of that media type unparsed."""
        if len(self.arguments) != 1 or self.arguments[0].name:
            return False
        return (content_type, self.arguments[0].type) in {
            ("application/json", "json"),
            ("application/json", "jsonb"),
            ("text/plain", "text"),
            ("text/xml", "xml"),
        }


@dataclass(frozen=True)
class Schema:
    """One schema as it was when it was read."""

    name: str
    tables: Mapping[str, Table] = field(default_factory=dict)
    functions: Mapping[str, tuple[Function, ...]] = field(default_factory=dict)
    role_settings: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    relations: Relations = field(default_factory=dict)

    def table(self, name: str) -> Table:
        """The table of that name; raises ApiError PGRST205 when there is none."""
        if name not in self.tables:
            raise errors.unknown_table(self.name, name, _similar(name, self.tables))
        return self.tables[name]

    def function(
        self, name: str, arguments: frozenset[str], body_type: str | None = None
    ) -> Function:
        """The overload that takes these arguments, else one that takes the body as a whole.

        Raises ApiError PGRST202 when there is none, PGRST203 when there are several.
        """
        overloads = self.functions.get(name, ())
        raw_body = body_type in {"text/plain", "text/xml"}
        found = [f for f in overloads if not raw_body and f.accepts(arguments)]
        if not found and body_type is not None:
            found = [f for f in overloads if f.takes_whole_body(body_type)]
        if len(found) > 1:
            raise self._ambiguous(found)
        if not found:
            raise self._unknown_function(name, arguments, body_type)
        return found[0]

    def _ambiguous(self, candidates: Iterable[Function]) -> errors.ApiError:
        shown = ", ".join(
            f"{self.name}.{f.name}({', '.join(f'{a.name} => {a.type}' for a in f.arguments)})"
            for f in candidates
        )
        return errors.ApiError(
            300,
            "PGRST203",
            f"Could not choose the best candidate function between: {shown}",
            None,
            "Try renaming the parameters or the function itself in the database"
            " so function overloading can be resolved",
        )

    def _unknown_function(
        self, name: str, arguments: frozenset[str], body_type: str | None
    ) -> errors.ApiError:
        whole = {"text/plain": "text", "text/xml": "xml"}.get(body_type or "")
        listed = ", ".join(sorted(arguments))
        shown = f"({listed})" if arguments else " without parameters"
        searched = f" with parameter{'s' if len(arguments) > 1 else ''} {listed}"
        if not arguments:
            searched = " without parameters"
        if body_type == "application/json":
            searched += " or with a single unnamed json/jsonb parameter"
        if whole is not None:
            shown, searched = "", f" with a single unnamed {whole} parameter"
        return errors.ApiError(
            404,
            "PGRST202",
            f"Could not find the function {self.name}.{name}{shown} in the schema cache",
            f"Searched for the function {self.name}.{name}{searched},"
            " but no matches were found in the schema cache.",
            self._function_hint(name, arguments) if whole is None else None,
        )

    def _function_hint(self, name: str, arguments: frozenset[str]) -> str | None:
        overloads = self.functions.get(name)
        if overloads is None:
            similar = _similar(name, self.functions)
        else:
            calls = (", ".join(sorted(a.name for a in f.arguments)) for f in overloads)
            similar = _similar(
                f"{name}({', '.join(sorted(arguments))})",
                [f"{name}({call})" for call in calls],
                0.33,
            )
        if similar is None:
            return None
        return f"Perhaps you meant to call the function {self.name}.{similar}"


def _similar(name: str, known: Iterable[str], at_least: float = SIMILARITY) -> str | None:
    return next(iter(get_close_matches(name, known, 1, at_least)), None)
