"""The pages are as the code is: generated ones are current, links lead somewhere, examples know only the wire."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from docs import generate

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MADE_OF = re.compile(r"[^\w\- ]")


def anchors(page: Path) -> set[str]:
    """The ids of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {MADE_OF.sub("", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", generate.PAGES, ids=lambda page: page.name)
def test_generated_page_is_current(page: Path) -> None:
    assert page not in set(generate.stale_pages()), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_glossary_speaks_of_what_there_is() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert re.findall(r"not\s+there\s+yet|for\s+now", glossary, re.IGNORECASE) == []


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    entries = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [int(entry.name[:3]) for entry in entries] == list(range(1, len(entries) + 1))
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    assert [entry.name for entry in entries] == re.findall(r"\((\d{3}-[^)]+)\)", index)


@pytest.mark.parametrize("example", sorted(ROOT.glob("examples/*.py")), ids=lambda example: example.name)
def test_examples_know_only_the_wire(example: Path) -> None:
    tree = ast.parse(example.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {path.name for path in ROOT.iterdir() if path.is_dir()} | {"."}
    assert not {name.partition(".")[0] for name in imported} & ours
