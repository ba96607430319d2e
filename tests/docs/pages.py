"""The pages of the documentation: their text, blocks of code, tables, headings and links. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"
README = PROJECT / "README.md"
PAGES = (README, *sorted(DOCS.rglob("*.md")))

NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
FENCE = re.compile(r"^( *)```(.*)$")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A block of code; `not_run` is why it cannot be run, None when it can."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(PROJECT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    before = ""  # the last line with text
    lines = enumerate(page.read_text().splitlines(), start=1)
    for number, line in lines:
        if (fence := FENCE.match(line)) is None:
            before = line.strip() or before
            continue
        indent, language = fence.groups()
        inside = []
        for _, text in lines:
            if text.strip() == "```":
                break
            inside.append(text.removeprefix(indent))
        marked = NOT_RUN.fullmatch(before)
        yield Block(page, number, language.strip(), "\n".join(inside) + "\n", marked and marked[1])
        before = ""


def all_blocks(*languages: str) -> list[Block]:
    """The blocks of these languages of all pages that can be run."""
    found = (block for page in PAGES for block in blocks(page))
    return [block for block in found if block.language in languages and block.not_run is None]


def prose(page: Path) -> str:
    """The text of a page without blocks of code and comments."""
    kept, inside = [], False
    for line in page.read_text().splitlines():
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            kept.append(line)
    return COMMENT.sub("", "\n".join(kept))


def section(page: Path, title: str) -> str:
    """What stands below the heading `title` of a page, up to the next heading of its kind."""
    text = "\n" + prose(page)
    found = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert found is not None, f"{page.name} has no heading {title!r}"
    return re.split(rf"^#{{1,{len(found[1])}}} ", text[found.end() :], flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables of a text, without their heads."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            found.pop()  # the head
        else:
            found.append(cells)
    return found


def words(text: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", text)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the site and code hosts make them."""
    found: set[str] = set()
    for title in HEADING.findall(prose(page)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
        found.add(slug)
    return found


def links(page: Path) -> list[str]:
    """The targets of a page's links and pictures."""
    return LINK.findall(prose(page))
