"""The grammar of conditions: `eq.5`, `not.in.(1,2)`, `or=(a.eq.1,and(b.gt.2,c.is.null))`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from emulator.rest.scanner import ParseFailure, Scanner
from emulator.rest.syntax import BooleanGroup, Comparison, Condition, Field, Quantifier

OPERATOR = "operator (eq, gt, ...)"
SIMPLE = ("neq", "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj")
QUANTIFIED = ("eq", "gte", "gt", "lte", "lt", "like", "ilike", "match", "imatch")
FULL_TEXT = ("fts", "plfts", "phfts", "wfts")
TRUTHS = ("null", "not_null", "true", "false", "unknown")
DEPTH_LIMIT = 100


def is_operation(text: str) -> bool:
    """Whether the value of an rpc parameter is a filter and no argument."""
    scanner = Scanner(text)
    if scanner.take("not."):
        return True
    if any(text.startswith(f"{name}.") for name in ("in", "is", "isdistinct", *SIMPLE)):
        return True
    return scanner.attempt(lambda: _operator(scanner)) is not None


def comparison(field: Field, text: str) -> Comparison:
    """The condition that the parameter `field=text` states."""
    scanner = Scanner(text)
    condition = _operation(scanner, field, scanner.rest)
    scanner.expect_end()
    return condition


def tree(text: str) -> Condition:
    """The condition in `and(...)`, `not.or(...)`."""
    scanner = Scanner(text)
    condition = _tree(scanner, 0)
    scanner.expect_end()
    return condition


def _operation(scanner: Scanner, field: Field, value: Callable[[], str]) -> Comparison:
    negated = scanner.take("not.")
    if scanner.take("in."):
        return Comparison(field, "in", values=_values(scanner), negated=negated)
    if scanner.take("is."):
        return Comparison(field, "is", _truth(scanner), negated=negated)
    if scanner.take("isdistinct."):
        return Comparison(field, "isdistinct", value(), negated=negated)
    try:
        found = _operator(scanner)
    except ParseFailure as exc:
        raise scanner.failure(OPERATOR if negated else f'"not" or {OPERATOR}') from exc
    operator, quantifier, language = found
    return Comparison(
        field, operator, value(), negated=negated, quantifier=quantifier, language=language
    )


def _operator(scanner: Scanner) -> tuple[str, Quantifier | None, str | None]:
    start = scanner.at
    word = scanner.run(lambda c: c in "abcdefghijklmnopqrstuvwxyz")
    quantifier: Quantifier | None = None
    language = None
    if word in QUANTIFIED:
        if scanner.take("(any)"):
            quantifier = "any"
        elif scanner.take("(all)"):
            quantifier = "all"
    elif word in FULL_TEXT and scanner.take("("):
        language = scanner.identifier()
        scanner.expect(")")
    known = word in QUANTIFIED or word in SIMPLE or word in FULL_TEXT
    if not known or not scanner.take("."):
        scanner.at = start
        raise scanner.failure(OPERATOR)
    return word, quantifier, language


def _truth(scanner: Scanner) -> str:
    for word in TRUTHS:
        if scanner.peek(len(word)).lower() == word:
            scanner.at += len(word)
            return word
    raise scanner.failure(f"isVal: ({', '.join(TRUTHS)})")


def _values(scanner: Scanner) -> tuple[str, ...]:
    scanner.spaces()
    scanner.expect("(")
    scanner.spaces()
    values = [_value(scanner)]
    while scanner.take(","):
        values.append(_value(scanner))
    scanner.expect(")", '"," or ")"')
    scanner.spaces()
    return tuple(values)


def _value(scanner: Scanner) -> str:
    """One element of a list: quoted when that is all of it, bare otherwise."""
    if scanner.peek() == '"':
        value = scanner.attempt(lambda: _delimited(scanner, scanner.quoted()))
        if value is not None:
            return value
    return scanner.run(lambda c: c not in ",)")


def _delimited(scanner: Scanner, value: str) -> str:
    if not scanner.at_end and scanner.peek() not in {",", ")"}:
        raise scanner.failure('"," or ")"')
    return value


def _tree_value(scanner: Scanner) -> str:
    array = scanner.attempt(lambda: _array(scanner)) if scanner.peek() == "{" else None
    return _value(scanner) if array is None else array


def _array(scanner: Scanner) -> str:
    scanner.expect("{")
    inner = scanner.run(lambda c: c not in "{}")
    scanner.expect("}")
    return f"{{{inner}}}"


def _tree(scanner: Scanner, depth: int) -> Condition:
    if depth > DEPTH_LIMIT:
        raise scanner.failure(f"at most {DEPTH_LIMIT} levels")
    leaf = scanner.attempt(lambda: _leaf(scanner))
    return _boolean_group(scanner, depth) if leaf is None else leaf


def _leaf(scanner: Scanner) -> Comparison:
    scanner.spaces()
    field = scanner.field()
    scanner.spaces()
    scanner.expect(".", "delimiter (.)")
    return _operation(scanner, field, lambda: _tree_value(scanner))


def _boolean_group(scanner: Scanner, depth: int) -> BooleanGroup:
    negated = scanner.take("not.")
    operator: Literal["and", "or"]
    if scanner.take("and"):
        operator = "and"
    elif scanner.take("or"):
        operator = "or"
    else:
        raise scanner.failure(
            "logic operator (and, or)"
            if negated
            else "field name (* or [a..z0..9_$]), negation operator (not)"
            " or logic operator (and, or)"
        )
    _bracket(scanner, "(")
    terms = [_tree(scanner, depth + 1)]
    while _comma(scanner):
        terms.append(_tree(scanner, depth + 1))
    _bracket(scanner, ")")
    return BooleanGroup(operator, tuple(terms), negated)


def _bracket(scanner: Scanner, bracket: str) -> None:
    scanner.spaces()
    scanner.expect(bracket)
    scanner.spaces()


def _comma(scanner: Scanner) -> bool:
    start = scanner.at
    scanner.spaces()
    if scanner.take(","):
        scanner.spaces()
        return True
    scanner.at = start
    return False
