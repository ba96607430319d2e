"""Made-up input, the same for the same seed: what clients send, bent and broken."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote

KILL = "update public.canary set alive = 'no'"
ATTACKS = [
    f"'; {KILL}; --",
    f'"; {KILL}; --',
    f"'); {KILL}; --",
    f"$1; {KILL}; --",
    f"$$; {KILL}; --$$",
    f"\\'; {KILL}; --",
    f'x\\"; {KILL}; --',
    f"1) or (select set_config('x', '1', true)) is not null; {KILL}; --",
    "' or '1'='1",
    "1); drop table public.canary; --",
    "*/ drop table public.canary /*",
    "pg_sleep(9)",
    "%s%(x)s%n$1{0}",
    "a\0b",
    "\\",
    "\ud800",
    "\u202e\u0130\U0001f600",
    "é" * 300,
    "(" * 3000,
]
COLUMNS = ["id", "name", "owner", "mood", "big", "exact", "tags", "doc", "span", "words", "seen"]
RELATED = [
    "plants",
    "parts",
    "labels",
    "beds",
    "gardens",
    "plantings",
    "garden",
    "within",
    "nothing",
]
HINTS = ["", "", "!inner", "!left", "!garden", "!beds_spare_fkey!inner", "!plantings", "!nope"]
TABLES = [
    "plants",
    "parts",
    "beds",
    "gardens",
    "keyless",
    "calm_plants",
    "nothing",
    'odd "name" %s',
    "hidden",
]
FUNCTIONS = ["add", "echo", "many", "all_plants", "pairs", "divide", "joined", "twin", "nothing"]
OPERATORS = [
    *("eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "match", "imatch", "in", "is"),
    *("isdistinct", "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj", "not.eq", "not.in"),
    *("fts", "plfts", "phfts", "wfts", "eq(any)", "like(all)", "fts(english)", "nope", ""),
]
LITERALS = [
    *("1", "-1", "null", "ash", "{a,b}", "(1,2)", "[1,2)", "calm", "{}", '"x"', "2026-01-01"),
    *("1e400", "99999999999999999999", "(", "[", "NaN", "infinity", "true", ""),
]
SOUND = [
    *(("select", "id,name"), ("select", "*"), ("select", "doc->k->0,big::text"), ("order", "id")),
    *(("id", "eq.1"), ("id", "in.(1,2)"), ("name", "like.*a*"), ("doc->>s", "eq.one")),
    *(("tags", "cs.{b}"), ("or", "(id.eq.1,name.eq.birch)"), ("limit", "2"), ("offset", "1")),
    *(("select", "name,parts(*)"), ("select", "*,beds(name,garden(*))"), ("parts", "not.is.null")),
    *(("parts.number", "eq.1"), ("beds.limit", "1"), ("order", "labels(writing)")),
    *(("on_conflict", "name"), ("words", "fts.cat"), ("seen", "gt.2026-01-01"), ("a", "1")),
]
ODD = "abn019.,:()\"'\\{}[]*%->$ \t\n_é;=&|!@#^~`?/<>+\0"
PREFERENCES = [
    *("return=representation", "return=minimal", "return=headers-only", "count=exact"),
    *("count=planned", "count=estimated", "resolution=merge-duplicates", "missing=default"),
    *("resolution=ignore-duplicates", "handling=strict", "max-affected=1", "nonsense"),
]
MEDIA = [
    *("application/json", "text/csv", "application/vnd.pgrst.object+json", "*/*", "image/png"),
    *("application/vnd.pgrst.array+json;nulls=stripped", "a;q=x,b", "application/json;q=0.1"),
]


class Words(random.Random):
    """Chooses words and what is made of them."""

    def odd(self, longest: int = 10) -> str:
        return "".join(self.choices(ODD, k=self.randrange(longest)))

    def text(self) -> str:
        kind = self.random()
        if kind < 0.35:
            return self.choice(ATTACKS)
        return self.choice(LITERALS) if kind < 0.8 else self.odd()

    def field(self) -> str:
        name = self.choice(COLUMNS) if self.random() < 0.8 else self.text()
        while self.random() < 0.2:
            name += self.choice(("->", "->>")) + self.choice(("a", "0", "-1", self.text()))
        return name

    def condition(self, depth: int = 0) -> str:
        if depth < 4 and self.random() < 0.2:
            terms = ",".join(self.condition(depth + 1) for _ in range(self.randrange(4)))
            return self.choice(("and(", "or(", "not.or(")) + terms + self.choice((")", ")", ""))
        return f"{self.field()}.{self.choice(OPERATORS)}.{self.text()}"

    def embedded(self, depth: int) -> str:
        """Another table among the columns, and others in it."""
        name = self.choice(RELATED) if self.random() < 0.9 else self.text()
        before = self.choice(("", "", "", "...", "x:", f"{self.text()}:"))
        hint = self.choice(HINTS) if self.random() < 0.9 else f"!{self.text()}"
        columns = ",".join(self.selected(depth + 1) for _ in range(self.randrange(3)))
        return f"{before}{name}{hint}({columns}" + (")" if self.random() < 0.95 else "")

    def path(self) -> str:
        """The way to a column of an embedded table."""
        tables = [self.choice([*RELATED, "x"]) for _ in range(1 + self.randrange(2))]
        return ".".join([*tables, self.choice(("number", "name", "or", "order", self.field()))])

    def selected(self, depth: int = 0) -> str:
        if depth < 4 and self.random() < 0.35:
            return self.embedded(depth)
        alias = self.choice(("", "", "a:", f"{self.text()}:"))
        cast = self.choice(("", "", "::text", "::int", f"::{self.text()}"))
        return alias + self.field() + cast

    def parameter(self) -> tuple[str, str]:
        if self.random() < 0.5:
            name, value = self.choice(SOUND)
            return name, self.text() if self.random() < 0.1 else value
        kind = self.randrange(9)
        if kind == 8:
            return self.path(), f"{self.choice(OPERATORS)}.{self.text()}"
        if kind == 0:
            return "select", ",".join(self.selected() for _ in range(self.randrange(4)))
        if kind == 1:
            order = self.choice(("", ".asc", ".desc", ".desc.nullslast", f".{self.text()}"))
            term = (
                self.field() if self.random() < 0.8 else f"{self.choice(RELATED)}({self.field()})"
            )
            return "order", term + order
        if kind == 2:
            return self.choice(("limit", "offset")), self.text()
        if kind == 3:
            terms = ",".join(self.condition() for _ in range(self.randrange(4)))
            return self.choice(("or", "and", "not.and")), f"({terms})"
        if kind == 4:
            return self.choice(("columns", "on_conflict")), self.field()
        if kind == 5:
            return self.text(), self.text()
        return self.field(), f"{self.choice(OPERATORS)}.{self.text()}"

    def query(self) -> str:
        """A query string, mostly escaped as it should be."""
        given = [self.parameter() for _ in range(self.randrange(4))]
        pairs = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in given)
        return self.bent(pairs) if self.random() < 0.1 else pairs

    def bent(self, text: str) -> str:
        """The text with some characters lost, doubled or replaced, of those a URL may have."""
        kept = list(text)
        for _ in range(1 + self.randrange(3)):
            if kept:
                at = self.randrange(len(kept))
                kept[at] = self.choice(("", kept[at] * 2, "%", "%00", "%ff", "&", "=", "(", '"'))
        return "".join(kept)

    def value(self, depth: int = 0) -> Any:
        """Any JSON value."""
        kind = self.randrange(9 if depth < 3 else 6)
        if kind == 6:
            return [self.value(depth + 1) for _ in range(self.randrange(3))]
        if kind > 6:
            return {self.text(): self.value(depth + 1) for _ in range(self.randrange(3))}
        scalars = (None, True, self.randrange(-(2**70), 2**70), self.random() * 10**300)
        return self.choice((*scalars, self.text(), self.text()))

    def row(self) -> Any:
        if self.random() < 0.4:
            return {"name": self.text(), "level": self.randrange(9), "tags": [self.text()]}
        names = (self.choice(COLUMNS) if self.random() < 0.8 else self.text() for _ in range(3))
        return {name: self.value(1) for name in names} if self.random() < 0.9 else self.value()

    def json(self, value: object) -> bytes:
        """The value as JSON, now and then damaged."""
        encoded = json.dumps(value).encode()
        return self.damaged(encoded) if self.random() < 0.15 else encoded

    def damaged(self, data: bytes) -> bytes:
        bent = bytearray(data or b"{")
        for _ in range(1 + self.randrange(4)):
            bent[self.randrange(len(bent))] = self.randrange(256)
        return bytes(bent[: self.randrange(len(bent)) + 1]) if self.random() < 0.5 else bytes(bent)


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", errors="surrogatepass"), safe="(),.*:'")
