"""Every link leads somewhere: files, pages and anchors are there, addresses are well-formed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import DOCS, PAGES, PROJECT, README, anchors, blocks, links

# What the repository shows beside: their links count as well.
OTHERS = tuple(
    PROJECT / name
    for name in (
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "bench/README.md",
        "clients/js/README.md",
        "emulator/README.md",
        "examples/react/README.md",
        "examples/supabase-direct/README.md",
    )
)
LONGEST_README = 200


def pages_of(navigation: list[Any]) -> Iterator[str]:
    for entry in navigation:
        for target in entry.values():
            if isinstance(target, str):
                yield target
            else:
                yield from pages_of(target)


def named(page: Path) -> str:
    return str(page.relative_to(PROJECT))


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        address = urlsplit(link)
        if address.scheme:
            assert address.scheme in ("http", "https"), link
            assert "." in (address.hostname or ""), link
            continue
        target = (page.parent / address.path).resolve() if address.path else page
        assert target.exists(), f"{link} of {page.name}"
        if address.fragment:
            assert address.fragment in anchors(target), f"{link} of {page.name}"


@pytest.mark.parametrize("page", [page for page in PAGES if page != README], ids=named)
def test_a_page_of_the_site_links_to_nothing_outside_of_it(page: Path) -> None:
    for link in links(page):
        if not (address := urlsplit(link)).scheme and address.path:
            assert (page.parent / address.path).resolve().is_relative_to(DOCS), link


def test_the_navigation_has_each_page_once_and_no_other() -> None:
    project = tomllib.loads((PROJECT / "zensical.toml").read_text())["project"]
    listed = sorted(pages_of(project["nav"]))
    assert listed == sorted(str(page.relative_to(DOCS)) for page in PAGES if page != README)


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    assert len(README.read_text().splitlines()) <= LONGEST_README
    reached = {(PROJECT / urlsplit(link).path).resolve() for link in links(README)}
    left_out = {page for page in PAGES if page not in (README, DOCS / "index.md")} - reached
    assert {page.parent.name for page in left_out} <= {"frontends"}  # by way of its own index
    index = DOCS / "frontends/index.md"
    assert left_out <= {(index.parent / urlsplit(link).path).resolve() for link in links(index)}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_block_says_its_language(page: Path) -> None:
    for block in blocks(page):
        assert block.language, block
