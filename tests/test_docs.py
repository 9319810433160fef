"""The manual is true: its examples run and print what it says, and what it names and links to exists.

A page's ```python blocks run in order in one namespace, in an empty folder, each as a file example.py.
A ```text block right after one is what it prints, where ... stands for anything.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import inspect
import io
import linecache
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import graphflow as gf
from graphflow.cli.main import parser
from graphflow.ir.opdef import registry
from graphflow.optimizer.pipelines import PASSES

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = "<!-- Written by docs/generate.py"
LONGEST = 150

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PUBLIC = re.compile(r"\bgf\.([a-z_]\w*(?:\.\w+)*|[A-Z]\w*)")
OF_SESSION = re.compile(r"\bsess\.([a-z]\w*)")


class Block(NamedTuple):
    """A fenced block: its language, its text, and what stands between the block before and this one."""

    language: str
    text: str
    between: str


def blocks(page: Path) -> list[Block]:
    found, end = [], 0
    text = page.read_text("utf-8")
    for match in BLOCK.finditer(text):
        found.append(Block(match[1], match[2], text[end : match.start()]))
        end = match.end()
    return found


def prose(page: Path) -> str:
    return BLOCK.sub("", page.read_text("utf-8"))


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let examples declare operators without any other test noticing."""
    monkeypatch.setattr(registry, "_ops", dict(registry._ops))
    monkeypatch.setattr(registry, "listeners", list(registry.listeners))


def run(source: str, names: dict[str, object]) -> str:
    """Run a block as the file example.py, and return what it prints."""
    lines = source.splitlines(keepends=True)
    linecache.cache["example.py"] = (len(source), None, lines, "example.py")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "example.py", "exec"), names)
    return printed.getvalue()


RUNNING = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("page", RUNNING, ids=lambda page: page.name)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    checker, printed = doctest.OutputChecker(), None
    for block in blocks(page):
        if block.language == "text" and printed is not None and not block.between.strip():
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            assert checker.check_output(block.text, printed, flags), f"it prints\n{printed}"
        printed = run(block.text, names) if block.language == "python" else None


def commands(page: Path) -> Iterator[str]:
    for block in blocks(page):
        if block.language in ("", "sh"):
            yield from (line for line in block.text.splitlines() if line.startswith("graphflow "))


def test_command_lines_parse() -> None:
    lines = [line for page in PAGES for line in commands(page)]
    assert len(lines) >= 5
    for line in lines:
        arguments = shlex.split(line.partition(" > ")[0], comments=True)[1:]
        assert parser().parse_args(arguments).command == arguments[0]


def resolves(dotted: str) -> bool:
    found: object = gf
    for name in dotted.split("."):
        if not hasattr(found, name):
            return False
        found = getattr(found, name)
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    gf.placeholder("there_is_a_graph", ())  # for gf.training
    assert [name for name in PUBLIC.findall(text) if not resolves(name)] == []
    # What __init__ sets is no attribute of the class.
    session = {*dir(gf.Session), *re.findall(r"self\.(\w+)", inspect.getsource(gf.Session.__init__))}
    assert [name for name in OF_SESSION.findall(text) if name not in session] == []


def test_messages_and_tutorials_name_what_exists() -> None:
    """A hint that sends a user to a function that is not there is worse than none."""
    gf.placeholder("there_is_a_graph", ())
    wrong = []
    for path in [*(ROOT / "graphflow").rglob("*.py"), *(ROOT / "tutorials").glob("*.py")]:
        names = PUBLIC.findall(path.read_text("utf-8"))
        wrong += [f"{path.relative_to(ROOT)}: gf.{name}" for name in names if not resolves(name)]
    assert sorted(wrong) == []


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(match) for match in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_index_leads_to_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {link.partition("#")[0] for link in LINK.findall(prose(index))}
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - linked == {"index.md"}


def test_pages_are_short() -> None:
    lengths = {page.name: len(page.read_text("utf-8").splitlines()) for page in PAGES if "docs" in page.parts}
    written = [page.name for page in PAGES if GENERATED in page.read_text("utf-8")]
    assert {
        name: length for name, length in lengths.items() if length > LONGEST and name not in written
    } == {}


def test_the_pages_of_the_optimizer_name_all_families_and_passes() -> None:
    families = re.findall(r"^## (\w+)$", (ROOT / "docs" / "rules.md").read_text("utf-8"), re.MULTILINE)
    rows = "\n".join(re.findall(r"^\| (.*?) \|", prose(ROOT / "docs" / "rule-families.md"), re.MULTILINE))
    assert len(families) > 20 and set(families) - set(re.findall(r"\w+", rows)) == set()
    table = re.findall(r"^\| `([\w-]+)` \|", prose(ROOT / "docs" / "pipelines.md"), re.MULTILINE)
    assert set(table) == set(PASSES) and len(table) == len(PASSES)


def test_modules_that_pages_import_are_there() -> None:
    for page in PAGES:
        for name in re.findall(r"^from (graphflow[\w.]*) import", page.read_text("utf-8"), re.MULTILINE):
            assert importlib.import_module(name) is sys.modules[name]
