"""The documentation says nothing that is not so: its code runs, its links lead somewhere, no public name is missing."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

import pytest

import gatewright

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FAILS = re.compile(r"<!-- fails: (?P<error>\w+): (?P<message>.+?) -->\n\Z")
_LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (?P<title>.+)$", re.MULTILINE)
_MACHINE = re.compile(r"(?<![\w.])/(?:work|tmp|home|root|opt|Users)/|C:\\")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        line: the number of its first line.
        language: what the fence says.
        text: the code.
        error: the name of the exception that it is shown to raise, if any.
        message: a part of what the exception says.
    """

    line: int
    language: str
    text: str
    error: str | None
    message: str


@dataclass(frozen=True)
class Page:
    """One page of the documentation."""

    path: Path

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        """Return the page."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """Return the page without its code."""
        return _FENCE.sub("", self.text)

    @cached_property
    def anchors(self) -> set[str]:
        """Return the anchors of the headings, as GitHub and MkDocs make them."""
        titles = [match["title"].lower() for match in _HEADING.finditer(self.prose)]
        return {re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in titles}

    def blocks(self) -> Iterator[Block]:
        """Yield the fenced blocks in order."""
        for match in _FENCE.finditer(self.text):
            before = self.text[: match.start()]
            fails = _FAILS.search(before)
            error, message = (fails["error"], fails["message"]) if fails else (None, "")
            yield Block(before.count("\n") + 2, match["language"], match["text"], error, message)


DOCS = [Page(path) for path in PAGES]
BY_PATH = {page.path: page for page in DOCS}


@pytest.fixture
def module(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Return a module for one page's code; a real one, because annotations are looked up in it."""
    made = ModuleType("page_of_the_docs")
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


@pytest.mark.parametrize("page", [page for page in DOCS if "```python" in page.text], ids=str)
def test_every_block_of_code_runs(page: Page, module: ModuleType) -> None:
    """The blocks of a page run in order, as one program; one that is shown to fail fails in just that way."""
    for block in page.blocks():
        if block.language != "python":
            continue
        # The line numbers of a traceback are those of the page.
        code = compile("\n" * (block.line - 1) + block.text, str(page.path), "exec")
        if block.error is None:
            exec(code, module.__dict__)
            continue
        with pytest.raises(Exception, match=re.escape(block.message)) as raised:
            exec(code, module.__dict__)
        assert raised.type.__name__ == block.error


@pytest.mark.parametrize("page", DOCS, ids=str)
def test_every_mark_belongs_to_code(page: Page) -> None:
    """A mark that stands before no block would promise a check that nobody makes; and nothing is skipped."""
    marked = sum(block.error is not None for block in page.blocks())
    assert page.text.count("<!-- fails:") == marked
    assert "<!-- skip" not in page.text


@pytest.mark.parametrize("page", [page for page in DOCS if page.path.parent != ROOT], ids=str)
def test_pages_with_code_end_with_something_to_check(page: Page) -> None:
    """A page that shows code asserts what a reader would see."""
    code = [block.text for block in page.blocks() if block.language == "python"]
    assert not code or "assert " in "".join(code)


@pytest.mark.parametrize("page", DOCS, ids=str)
def test_every_internal_link_leads_somewhere(page: Page) -> None:
    """A relative link names a file that is there, and an anchor that the file has."""
    for match in _LINK.finditer(page.prose):
        target, _, anchor = match["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (page.path.parent / target).resolve() if target else page.path
        assert path.exists(), f"{page}: {match['target']}"
        if anchor:
            assert anchor in BY_PATH[path].anchors, f"{page}: {match['target']}"


@pytest.mark.parametrize("page", DOCS, ids=str)
def test_no_page_names_a_place_on_a_machine(page: Page) -> None:
    """A path that exists on one machine helps nobody on another."""
    assert not _MACHINE.search(page.text)


def test_every_page_is_in_the_navigation() -> None:
    """A page that nothing links to is not read: the index names them all."""
    index = BY_PATH[ROOT / "docs" / "index.md"]
    targets = [match["target"].partition("#")[0] for match in _LINK.finditer(index.prose)]
    linked = {(index.path.parent / target).resolve() for target in targets}
    missing = [str(page) for page in DOCS if page.path.parent != ROOT and page is not index and page.path not in linked]
    assert not missing


@pytest.mark.parametrize("name", sorted(getattr(gatewright, "__all__", [n for n in dir(gatewright) if n[0] != "_"])))
def test_every_public_name_is_documented(name: str) -> None:
    """Whatever can be imported from the root is spoken of in the documentation, as code."""
    word = re.compile(rf"`[^`\n]*\b{name}\b[^`\n]*`")
    assert any(word.search(page.prose) for page in DOCS if page.path.name != "CHANGELOG.md")


def test_the_readme_begins_with_two_commands() -> None:
    """A fresh machine needs two commands; the first two blocks for the shell are these, one line each."""
    shell = [block.text for block in BY_PATH[ROOT / "README.md"].blocks() if block.language == "sh"]
    assert shell[:2] == [
        'python -m pip install -e ".[example]" && python docs/examples/tour.py\n',
        'python -m pip install -e ".[test]" && python -m pytest\n',
    ]
