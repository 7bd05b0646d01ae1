"""What readers follow and paste from the pages."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").glob("*/*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
COMMANDS = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    """Name a page from the root."""
    return str(page.relative_to(ROOT))


def anchors_of(page: Path) -> set[str]:
    """Return where links into a page may lead: its headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page_when_a_link_is_followed_then_it_leads_somewhere(page: Path) -> None:
    """To a file of this repository, and to a heading in it."""
    for file, anchor in LINK.findall(page.read_text()):
        target = (page.parent / file) if file else page
        assert target.exists(), file
        assert not anchor or anchor in anchors_of(target), f"{file}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page_when_commands_are_pasted_then_no_shell_meets_a_comment(page: Path) -> None:
    """At its prompt zsh takes what follows "#" for words of the command."""
    for block in COMMANDS.findall(page.read_text()):
        assert not re.search(r"(^|\s)#(\s|$)", block), block


def test_pages_when_looked_for_then_there_are_some_with_links_and_commands() -> None:
    """An empty list would pass every test."""
    texts = [page.read_text() for page in PAGES]
    assert sum(len(LINK.findall(text)) for text in texts) > 30
    assert sum(len(COMMANDS.findall(text)) for text in texts) > 20
