"""The pages on graphs, memory, profiles and chips in a real browser."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from graphflow.board.server import Board, running
from tests.board.graph_logs import chain, write_graph_logs, write_side
from tests.board.test_browser import (
    CHROMIUM,
    Opener,
    brightness,
    browser,
    nameless,
    shows_something,
    visit,
    watched,
)

__all__ = ["browser", "visit"]  # fixtures

PAGES = ("graph", "memory", "profile", "chip")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium; on Debian and Ubuntu: apt-get install chromium"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write_graph_logs(tmp_path_factory.mktemp("graphs"))
    write_side(made / "wide", "graph", {"nodes": chain(20_000, scopes=40)})
    return made


@pytest.fixture(scope="module")
def board(folder: Path) -> Iterator[Board]:
    with watched(folder) as log, running(log) as made:
        yield made


def ready(page: Page, name: str) -> None:
    """Wait until a page shows what it is for."""
    page.wait_for_selector({"graph": ".graph-scene .box"}.get(name, ".plane canvas"))
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("name", PAGES)
def test_each_page(visit: Opener, board: Board, name: str) -> None:
    page = visit(board, f"#/{name}?run=good")
    ready(page, name)
    assert shows_something(page) and nameless(page) == []
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector(":root[data-theme=dark]")
    assert brightness(page) < 150 and shows_something(page)
    page.set_viewport_size({"width": 360, "height": 700})
    page.wait_for_timeout(150)
    assert page.evaluate("document.documentElement.scrollWidth <= 360")
    assert page.evaluate("document.querySelector('#main').scrollWidth <= 360")
    assert shows_something(page)
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_contain_text("This page")


@pytest.mark.parametrize("name", PAGES[:3])
def test_hostile_names_stay_texts(visit: Opener, board: Board, name: str) -> None:
    page = visit(board, f"#/{name}?run=odd")
    ready(page, name)
    assert page.locator("main img, main script").count() == 0
    if name == "graph":
        page.click("text=Optimizer")
        page.wait_for_selector(".edit")
        expect(page.locator(".edit").first).to_contain_text("<img")
        assert page.locator("main img").count() == 0


def box(page: Page, key: str) -> str:
    """The selector of a box."""
    return f'.graph-scene [data-key="{key}"]'


# The graph


def test_scopes_open_and_close_and_the_address_keeps_them(visit: Opener, board: Board) -> None:
    page = visit(board, "#/graph?run=good&open=%5B%5D")
    page.click(f"{box(page, 'run:0:')} .sign")
    page.dblclick(box(page, "layer2/"))
    expect(page.locator(box(page, "layer2/"))).to_have_class("box scope-open paint-open is-chosen")
    assert page.locator(".edge-label").count() > 3
    assert "f32 4×8" in page.locator(".labels").inner_html()
    page.reload()
    ready(page, "graph")
    expect(page.locator(box(page, "layer2/"))).to_have_attribute("aria-label", "scope layer2, 12 nodes, open")
    page.focus(".graph-scene")
    page.keyboard.press("c")
    expect(page.locator(box(page, "layer2/"))).to_have_count(0)
    expect(page.locator(box(page, "run:0:"))).to_be_visible()


def test_search_opens_the_parents_and_centres(visit: Opener, board: Board) -> None:
    page = visit(board, "#/graph?run=good&open=%5B%5D")
    ready(page, "graph")
    page.keyboard.press("/")
    page.keyboard.type("^layer3/matmul$")
    expect(page.locator(".found-row")).to_have_count(1)
    page.keyboard.press("Enter")
    chosen = page.locator(f"{box(page, 'node:layer3/matmul')}.is-chosen")
    expect(chosen).to_be_visible()
    stage, place = page.locator(".graph-stage").bounding_box(), chosen.bounding_box()
    assert stage is not None and place is not None
    assert abs(place["x"] + place["width"] / 2 - stage["x"] - stage["width"] / 2) < 3
    page.fill(".graph-search input", "(a+)+b")
    expect(page.locator(".found-note")).to_contain_text("too long")
    page.fill(".graph-search input", "tanh[")
    expect(page.locator(".found-note")).to_contain_text("not a regular expression")


def test_the_inspector_tells_the_line_and_leads_on(visit: Opener, board: Board) -> None:
    page = visit(board, "#/graph?run=good&node=layer0%2Fw")
    card = page.locator(".node-card")
    expect(card.locator("h2")).to_have_text("layer0/w")
    expect(card.locator(".source-line code")).to_contain_text("graph_logs.py:")
    expect(card.locator(".node-curves li")).to_have_count(5)
    expect(card.locator(".spark path").first).to_have_attribute("d", re.compile(r"^M1\.0 .*L50\.0 .*L99\.0 "))
    card.locator(".ends button", has_text="layer0/matmul").first.click()
    expect(card.locator("h2")).to_contain_text("matmul")
    expect(card).to_contain_text("float32[4, 8]")
    assert "node=layer0%2Fmatmul" in page.url


def test_traces_dim_what_is_not_reached(visit: Opener, board: Board) -> None:
    page = visit(board, "#/graph?run=good&open=%5B%22run%3A0%3A%22%5D&node=x")
    ready(page, "graph")
    page.click(".trace-bar [data-way=outputs]")
    expect(page.locator(".is-tracing")).to_have_count(1)
    expect(page.locator(f"{box(page, 'layer4/')}.is-reached")).to_have_count(1)
    page.click(".trace-bar [data-way=inputs]")
    expect(page.locator(f"{box(page, 'layer4/')}.is-reached")).to_have_count(0)
    page.keyboard.press("i")
    expect(page.locator(".is-tracing")).to_have_count(0)


def test_the_keyboard_walks_along_edges(visit: Opener, board: Board) -> None:
    page = visit(board, "#/graph?run=good&open=%5B%5D&node=x")
    ready(page, "graph")
    page.keyboard.press("ArrowDown")
    expect(page.locator(f"{box(page, 'run:0:')}.is-chosen")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator(box(page, "layer0/"))).to_have_count(1)
    page.keyboard.press("Backspace")
    expect(page.locator(box(page, "layer0/"))).to_have_count(0)


def test_colours_and_legends(visit: Opener, board: Board) -> None:
    page = visit(board, "#/graph?run=good")
    ready(page, "graph")
    for mode, words in (("seconds", "in all"), ("flops", "FLOP"), ("dtype", "float32"), ("bytes", "bytes")):
        page.select_option(".graph-bar select[aria-label='Colour by']", mode)
        expect(page.locator(".graph-legend")).to_contain_text(words)
    assert "color=bytes" in page.url and page.locator(".paint-heat5").count() > 0


def test_an_svg_is_saved(visit: Opener, board: Board) -> None:
    page = visit(board, "#/graph?run=good")
    ready(page, "graph")
    with page.expect_download() as saved:
        page.click("[aria-label='Save as SVG']")
    drawn = ElementTree.parse(saved.value.path()).getroot()
    assert drawn.tag.endswith("svg") and any(one.text == "tanh" or one.text == "x" for one in drawn.iter())


def test_twenty_thousand_nodes_stay_few_elements(visit: Opener, board: Board) -> None:
    page = visit(board, "#/graph?run=wide")
    ready(page, "graph")
    expect(page.locator(".graph-note")).to_contain_text("20,000 nodes")
    assert page.locator(".graph-scene *").count() < 3000
    page.fill(".graph-search input", "n19999$")
    page.locator(".found-row").first.click()
    expect(page.locator(".box.is-chosen")).to_have_attribute("data-key", "node:scope39/n19999")
    assert page.locator(".graph-scene *").count() < 6000


# The optimizer


def test_the_slider_goes_through_the_passes(visit: Opener, board: Board) -> None:
    page = visit(board, "#/graph?run=good&view=optimizer&pass=0")
    ready(page, "graph")
    expect(page.locator(".slider-title")).to_contain_text("As it was built")
    page.keyboard.press("PageDown")
    expect(page.locator(".slider-title")).to_contain_text("edit")
    page.wait_for_selector(".edit.kind-merge, .edit.kind-replace, .edit.kind-fold, .edit.kind-erase")
    page.wait_for_selector(".graph-scene .box rect.share, .graph-scene .paint-removed")
    expect(page.locator(".graph-legend")).to_contain_text("removed")
    assert "pass=" in page.url
    before = page.locator(".slider-title").inner_text()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".slider-title")).not_to_have_text(before)


def test_an_edit_leads_to_its_node_before_and_after(visit: Opener, board: Board) -> None:
    page = visit(board, "#/graph?run=good&view=optimizer")
    page.wait_for_selector(".edit-go")
    page.locator(".edit .names button").first.click()
    expect(page.locator(".box.is-chosen")).to_have_count(1)
    expect(page.locator(".node-card .mark-removed")).to_have_text("removed by this pass")
    expect(page.locator(".node-history li").first).to_be_visible()
    page.keyboard.press("a")
    expect(page.locator("[data-side=after]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".graph-scene .paint-removed")).to_have_count(0)
    page.keyboard.press("b")
    expect(page.locator(".box.is-chosen.paint-removed")).to_have_count(1)


# Memory, profile, chip


def test_memory_points_and_joins(visit: Opener, board: Board) -> None:
    page = visit(board, "#/memory?run=good")
    ready(page, "memory")
    expect(page.locator(".graph-panel")).to_contain_text("Live at the peak")
    expect(page.locator("table.data code").first).to_contain_text("gf.Session")
    page.locator(".node-memory .link").first.click()
    expect(page.locator(".node-card h2")).to_be_visible()
    page.click("text=Show in Graph")
    ready(page, "graph")
    expect(page.locator(".box.is-chosen")).to_have_count(1)
    page.go_back()
    ready(page, "memory")
    plane = page.locator(".plane canvas").first.bounding_box()
    assert plane is not None
    found = False
    for part in (0.1, 0.3, 0.5, 0.7, 0.9):
        for level in (0.9, 0.6, 0.3):
            page.mouse.move(
                plane["x"] + 80 + (plane["width"] - 100) * part, plane["y"] + plane["height"] * level
            )
            found = found or page.locator(".tip:visible", has_text="live in steps").count() > 0
    assert found


def test_profile_sorts_filters_and_joins(visit: Opener, board: Board) -> None:
    page = visit(board, "#/profile?run=good")
    ready(page, "profile")
    rows = page.locator(".sorted .sort-row:not(.sort-head)")
    slowest = rows.first.inner_text()
    page.click(".sort-head >> text=time")
    expect(rows.first).not_to_have_text(slowest)
    page.fill(".graph-search input", "^layer1/")
    expect(rows.first).to_contain_text("layer1/")
    rows.first.click()
    expect(page.locator(".node-card h2")).to_contain_text("layer1/")
    expect(page.locator(".node-card")).to_contain_text("no. ")
    page.click("text=By scope")
    assert "by=scope" in page.url and shows_something(page)


def test_chip_shows_both_engines(visit: Opener, board: Board) -> None:
    page = visit(board, "#/chip?run=good")
    ready(page, "chip")
    expect(page.locator(".tiles")).to_contain_text("tensor unit")
    expect(page.locator(".legend").first).to_contain_text("Convolution")
    plane = page.locator(".plane canvas").first.bounding_box()
    assert plane is not None
    page.mouse.move(plane["x"] + plane["width"] / 2, plane["y"] + 80)
    page.mouse.wheel(0, -300)
    page.wait_for_load_state("networkidle")
    assert shows_something(page)
    page.click("tr[data-group] .link")
    expect(page.locator("tr.is-chosen")).to_have_count(1)


def test_pages_appear_as_runs_write(visit: Opener, tmp_path: Path) -> None:
    write_side(tmp_path / "first", "graph", {"nodes": chain(3)})
    with watched(tmp_path) as log, running(log) as made:
        page = visit(made, "#/graph")
        ready(page, "graph")
        expect(page.locator("#nav a[data-page=profile]")).to_have_count(0)
        write_side(tmp_path / "second", "profile", {"rows": [{"name": "a", "seconds": 1e-3}]})
        expect(page.locator("#nav a[data-page=profile]")).to_have_count(1)
        page.click("#nav a[data-page=profile]")
        ready(page, "profile")
