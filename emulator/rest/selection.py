"""The grammar of `select`: columns, and other tables embedded among them."""

from __future__ import annotations

from emulator.rest import errors
from emulator.rest.scanner import Scanner
from emulator.rest.syntax import Embedding, Query, Selected

AGGREGATES = ("sum", "avg", "count", "max", "min")
DEPTH_LIMIT = 20
ALL = Query()


def select(scanner: Scanner) -> Query:
    """What `select` asks for; nothing at all stands for all columns."""
    scanner.spaces()
    if scanner.at_end:
        return ALL
    query = _items(scanner, 0)
    scanner.expect_end()
    return query


def comma(scanner: Scanner) -> bool:
    """Step over a comma and the blanks around it."""
    scanner.spaces()
    if not scanner.take(","):
        return False
    scanner.spaces()
    return True


def _items(scanner: Scanner, depth: int) -> Query:
    items = [_item(scanner, depth)]
    while comma(scanner):
        items.append(_item(scanner, depth))
    return Query(
        select=tuple(item for item in items if isinstance(item, Selected)),
        embeddings=tuple(item for item in items if isinstance(item, Embedding)),
    )


def _item(scanner: Scanner, depth: int) -> Selected | Embedding:
    scanner.spaces()
    if scanner.take("*"):
        return Selected(None)
    if scanner.take("..."):
        return _embedding(scanner, Embedding(scanner.name(), spread=True), depth)
    alias = scanner.attempt(lambda: _alias(scanner))
    field = scanner.field()
    if field.name == "count" and scanner.peek(2) == "()":
        raise errors.aggregates_not_allowed()
    if not field.path and scanner.peek() in {"(", "!"}:
        return _embedding(scanner, Embedding(field.name, alias), depth)
    cast = scanner.identifier() if scanner.take("::") else None
    if any(scanner.take(f".{name}()") for name in AGGREGATES):
        raise errors.aggregates_not_allowed()
    scanner.spaces()
    return Selected(field, alias, cast)


def _alias(scanner: Scanner) -> str:
    name = scanner.name()
    scanner.expect(":")
    if scanner.peek() == ":":
        raise scanner.failure("alias")
    return name


def _embedding(scanner: Scanner, named: Embedding, depth: int) -> Embedding:
    """The rest of an embedding: up to one hint and one way of joining, then its columns."""
    if depth >= DEPTH_LIMIT:
        raise scanner.failure(f"at most {DEPTH_LIMIT} levels")
    hint, inner = _parameters(scanner)
    scanner.expect("(")
    scanner.spaces()
    query = named.query if scanner.peek() == ")" else _items(scanner, depth + 1)
    scanner.expect(")", '"," or ")"')
    scanner.spaces()
    return Embedding(named.name, named.alias, hint, inner, named.spread, query)


def _parameters(scanner: Scanner) -> tuple[str | None, bool]:
    hint, joins = None, []
    for _ in range(2):
        if not scanner.take("!"):
            break
        if scanner.take("left"):
            joins.append(False)
        elif scanner.take("inner"):
            joins.append(True)
        else:
            name = scanner.name()
            hint = hint or name
    return hint, bool(joins and joins[0])
