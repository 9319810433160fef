"""The board in a real browser: headless Chromium, driven by Playwright."""

from __future__ import annotations

import io
import os
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

import graphflow as gf
from graphflow.board.api_scalars import smoothed
from graphflow.board.server import Board, running
from graphflow.board.store import LogDirectory
from tests.board.logs import HOSTILE, write_logs

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
PAGES = ("overview", "scalars", "histograms", "images", "text", "pr_curves", "hparams")

expect.set_options(timeout=20_000)  # machines that test are busy

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium; on Debian and Ubuntu: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        # Chromium's own sandbox does not start for root, as in containers.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"] if os.geteuid() == 0 else []
        made = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield made
        made.close()


@pytest.fixture(scope="module", autouse=True)
def _look_for_new_files_often() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graphflow.board.store.reading.FIND_SECONDS", 0.1)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_logs(tmp_path_factory.mktemp("logs"))


def watched(folder: Path) -> LogDirectory:
    """A log directory that is looked at often."""
    log = LogDirectory(folder, index=None, refresh=0.1)
    assert log.wait(30)
    return log


@pytest.fixture(scope="module")
def board(folder: Path) -> Iterator[Board]:
    with watched(folder) as log, running(log) as made:
        yield made


Opener = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Opener]:
    """Opens a place of a board in a new window; the test fails if anything is written to the console."""
    complaints: list[str] = []
    contexts: list[Any] = []

    def opened(
        board: Board, place: str = "", width: int = 1280, height: int = 800, scheme: Any = "light"
    ) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error.stack or error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.goto(board.address + place)
        page.wait_for_selector("#nav a, .empty")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def shows_something(page: Page) -> bool:
    """Whether a screenshot of the page's own part is neither blank nor one flat area."""
    page.wait_for_load_state("networkidle")
    pixels = np.asarray(Image.open(io.BytesIO(page.locator("#main").screenshot())).convert("L"), np.float64)
    return float(pixels.std()) > 4 and len(np.unique(pixels)) > 20


def nameless(page: Page) -> list[str]:
    """What can be operated, or is a picture, and has no name for screen readers."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("button, a, input, select, canvas[tabindex], [role=img]")]
          .filter((one) => one.offsetParent && !(one.getAttribute("aria-label") || one.textContent.trim()
            || one.labels?.[0]?.textContent.trim())).map((one) => one.outerHTML.slice(0, 200))"""
    )
    return found


def brightness(page: Page) -> float:
    """The sum of red, green and blue of the background."""
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(float(part) for part in re.findall(r"[\d.]+", color)[:3])


# Pages


@pytest.mark.parametrize("name", PAGES)
def test_each_page(visit: Opener, board: Board, name: str) -> None:
    page = visit(board, f"#/{name}")
    expect(page.locator(f"#nav a[data-page={name}]")).to_have_attribute("aria-current", "page")
    page.wait_for_selector(f".page-{name} .card")
    expect(page.locator(".chart-note:visible")).to_have_count(0)
    assert shows_something(page)
    assert nameless(page) == []
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector(":root[data-theme=dark]")
    assert brightness(page) < 150
    assert shows_something(page)
    page.evaluate("document.activeElement.blur()")  # the link that skips the navigation lies over it
    page.set_viewport_size({"width": 360, "height": 640})
    page.wait_for_timeout(100)
    for element in ("document.documentElement", "document.getElementById('main')"):
        assert page.evaluate(f"{element}.scrollWidth <= {element}.clientWidth"), element
    expect(page.locator("#side")).to_be_hidden()
    page.click("#menu")
    expect(page.locator("#side")).to_be_visible()
    page.click("#shade", position={"x": 350, "y": 300})
    expect(page.locator("#side")).to_be_hidden()


def test_every_link_of_the_navigation_opens_its_page(visit: Opener, board: Board) -> None:
    page = visit(board)
    for name in PAGES:
        page.click(f"#nav a[data-page={name}]")
        page.wait_for_selector(f".page-{name} .card")
    page.go_back()
    page.wait_for_selector(f".page-{PAGES[-2]} .card")


def test_the_token_leaves_the_address(visit: Opener, board: Board) -> None:
    page = visit(board, "#/scalars")
    assert "token" not in page.url and page.url.endswith("#/scalars")
    page.reload()
    page.wait_for_selector(".page-scalars .card")
    assert page.evaluate("document.cookie") == ""


def test_a_stranger_sees_nothing(browser: Browser, board: Board) -> None:
    context = browser.new_context()
    page = context.new_page()
    answer = page.goto(board.address.split("?")[0])
    assert answer is not None and answer.status == 401 and "graphflow board" in page.content()
    context.close()


def test_an_empty_folder_says_what_to_do(visit: Opener, tmp_path: Path) -> None:
    with watched(tmp_path) as log, running(log) as board:
        page = visit(board)
        expect(page.locator(".empty h1")).to_have_text("Nothing is logged yet")
        with gf.train.SummaryWriter(tmp_path / "new") as writer:
            writer.scalar("loss", 1.0, 0)
        page.wait_for_selector("#nav a[data-page=scalars]")


# Scalars


def test_tags_are_found_by_regular_expressions(visit: Opener, board: Board) -> None:
    page = visit(board, "#/scalars")
    cards = page.locator(".page-scalars .card")
    expect(cards).to_have_count(5)
    page.fill(".find input", "^loss/(train|test)$")
    expect(cards).to_have_count(2)
    assert "tags=" in page.url
    page.fill(".find input", "loss/(")
    expect(page.locator(".find input")).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".empty h1")).to_have_text("No tag matches")
    page.fill(".find input", "")
    expect(cards).to_have_count(5)


def test_groups_fold_and_cards_are_pinned(visit: Opener, board: Board) -> None:
    page = visit(board, "#/scalars")
    head = page.locator('[data-group="loss"]')
    expect(head).to_have_attribute("aria-expanded", "true")
    head.click()
    expect(page.locator('[data-group="loss"]')).to_have_attribute("aria-expanded", "false")
    expect(page.locator(".card")).to_have_count(3)
    page.click('[aria-label="Pin accuracy"]')
    expect(page.locator(".group-head").first).to_contain_text("Pinned")
    page.reload()
    expect(page.locator(".group-head").first).to_contain_text("Pinned")
    expect(page.locator(".card")).to_have_count(4)


def test_a_pinned_card_keeps_the_focus(visit: Opener, board: Board) -> None:
    page = visit(board, "#/scalars")
    page.locator('[aria-label="Wide accuracy"]').press("Enter")
    expect(page.locator('[aria-label="Wide accuracy"]')).to_be_focused()
    expect(page.locator('[aria-label="Wide accuracy"]')).to_have_attribute("aria-pressed", "true")


def test_runs_are_chosen_and_the_address_keeps_it(visit: Opener, board: Board) -> None:
    page = visit(board, "#/scalars?tags=accuracy")
    chart = page.locator(".chart").first
    expect(chart).to_have_attribute("aria-label", re.compile("2 lines.*first: .*second: "))
    page.get_by_role("checkbox", name="second").uncheck()
    expect(chart).to_have_attribute("aria-label", re.compile("1 line.*first: "))
    page.reload()
    expect(page.get_by_role("checkbox", name="second")).not_to_be_checked()
    expect(page.locator(".chart").first).to_have_attribute("aria-label", re.compile("1 line"))
    page.fill("#runs input[type=search]", "sec")
    expect(page.locator(".run")).to_have_count(1)
    expect(page.locator(".empty h1")).to_have_text("No run is ticked")


def test_settings_of_curves_are_in_the_address(visit: Opener, board: Board) -> None:
    page = visit(board, "#/scalars")
    page.wait_for_selector(".chart canvas")
    page.click("text=Relative")
    page.get_by_label("Logarithmic values").check()
    page.get_by_label("Smoothing").fill("0.9")
    for part in ("x=relative", "log=1", "smooth=0.9"):
        assert part in page.url
    page.reload()
    expect(page.locator('[data-value="relative"]')).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Logarithmic values")).to_be_checked()
    expect(page.get_by_label("Smoothing")).to_have_value("0.9")


def test_the_pointer_and_arrow_keys_read_values(visit: Opener, board: Board) -> None:
    page = visit(board, "#/scalars?tags=accuracy&smooth=0")
    page.wait_for_selector(".chart canvas")
    box = page.locator(".u-over").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tip = page.locator(".tip")
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("second")
    page.mouse.move(5, 5)
    expect(tip).to_be_hidden()
    page.locator(".chart").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#announcer")).to_have_text(re.compile(r"(first|second): 0\.025 at 1"))


def test_dragging_zooms_and_double_clicking_ends_it(visit: Opener, board: Board) -> None:
    page = visit(board, "#/scalars?tags=accuracy")
    page.wait_for_selector(".chart canvas")
    before = page.locator(".chart").first.screenshot()
    box = page.locator(".u-over").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 65, steps=4)
    page.mouse.up()
    page.mouse.move(5, 5)
    page.wait_for_timeout(100)
    zoomed = page.locator(".chart").first.screenshot()
    assert zoomed != before
    page.mouse.dblclick(box["x"] + 50, box["y"] + 50)
    page.mouse.move(5, 5)
    page.wait_for_timeout(100)
    assert page.locator(".chart").first.screenshot() != zoomed


def test_curves_are_saved_as_csv_and_svg(visit: Opener, board: Board) -> None:
    page = visit(board, "#/scalars?tags=accuracy")
    page.wait_for_selector(".chart canvas")
    with page.expect_download() as saved:
        page.click('[aria-label="Save all points as CSV: accuracy"]')
    rows = saved.value.path().read_text().splitlines()
    assert rows[0] == "run,tag,step,wall_time,value" and len(rows) == 81
    with page.expect_download() as saved:
        page.click('[aria-label="Save as SVG: accuracy"]')
    assert saved.value.suggested_filename == "accuracy.svg"
    drawing = ElementTree.parse(saved.value.path()).getroot()
    assert len(drawing.findall(".//{http://www.w3.org/2000/svg}path")) == 4


def test_what_is_logged_appears_without_reloading(visit: Opener, tmp_path: Path) -> None:
    with gf.train.SummaryWriter(tmp_path / "run") as writer, watched(tmp_path) as log, running(log) as board:
        writer.scalar("loss", 3.0, 0)
        writer.flush()
        page = visit(board, "#/scalars")
        chart = page.locator(".chart").first
        expect(chart).to_have_attribute("aria-label", re.compile("run: 3 at 0"))
        page.evaluate("window.isSame = true")
        writer.scalar("loss", 2.0, 1)
        writer.flush()
        expect(chart).to_have_attribute("aria-label", re.compile("run: 2 at 1"))
        writer.scalar("accuracy", 0.5, 1)
        writer.flush()
        expect(page.locator(".card")).to_have_count(2)
        with gf.train.SummaryWriter(tmp_path / "another") as other:
            other.scalar("loss", 9.0, 0)
            other.text("notes", "hello", 0)
        expect(page.get_by_role("checkbox", name="another")).to_be_checked()
        expect(page.locator("#nav a[data-page=text]")).to_be_visible()
        assert page.evaluate("window.isSame") is True


def test_twelve_thousand_tags_stay_fluid(visit: Opener, tmp_path: Path) -> None:
    with gf.train.SummaryWriter(tmp_path / "run") as writer:
        for step in range(2):
            writer.scalars("layer", {f"{number:05d}/value": number for number in range(12_345)}, step)
    with watched(tmp_path) as log, running(log) as board:
        page = visit(board, "#/scalars")
        expect(page.locator(".page-head .small")).to_have_text("12,345 cards")
        page.wait_for_selector(".chart canvas")
        assert page.locator(".card").count() < 40
        page.evaluate("document.getElementById('main').scrollTop = 1e9")
        expect(page.locator(".card-title").last).to_have_text("12344/value")
        assert page.locator(".card").count() < 40
        page.fill(".find input", "0777[0-4]")
        expect(page.locator(".page-head .small")).to_have_text("5 cards")


def test_what_the_page_computes_is_what_python_computes(visit: Opener, board: Board) -> None:
    page = visit(board)

    def computed(module: str, expression: str) -> Any:
        return page.evaluate(f"import('/static/parts/{module}.js').then((m) => {expression})")

    values = np.random.default_rng(0).normal(size=50).round(3)
    expected = smoothed(values, 0.6)
    np.testing.assert_allclose(computed("curves", f"m.smoothed({values.tolist()}, 0.6)"), expected, rtol=1e-9)
    assert computed("curves", "[0, 3, 4.9, 99].map((x) => m.nearest([1, 3, 5], x))") == [0, 1, 2, 2]
    assert computed("curves", "m.ticks(0, 1, 5)") == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    curve = "{step: [2, 0, 1, 1], wall: [5, 6, 7, 8], value: [20, 0, 10, 11]}"
    assert computed("curves", f"m.prepared({curve}, 'step', 0)")["y"] == [0, 11, 20]
    assert computed("curves", f"m.positions({curve}, 'relative')") == [0, 1, 2, 3]
    assert computed("curves", "m.valueRange([[...Array(99).keys(), 1e9]], true, false)")[1] < 200
    bucket = "{left: [0, 1, 2], right: [1, 2, 4], counts: [10, 20, 10]}"
    found = computed("ridges", f"[0, 25, 50, 75, 100].map((p) => m.percentile({bucket}, p))")
    assert found == pytest.approx([0, 1, 1.5, 2, 4])
    rows = computed("ridges", f"m.rebinned([{bucket}]).rows.map((row) => [...row.heights])")
    assert sum(rows[0]) == pytest.approx(40) and sum(rows[0][:20]) == pytest.approx(10)
    told = computed("format", "[0, 1234567, 0.000012345, -0.5, NaN, 12345].map((x) => m.value(x))")
    assert told == ["0", "1.23e6", "1.23e−5", "−0.5", "NaN", "12,345"]


# Other pages


def test_images_step_with_the_slider(visit: Opener, board: Board) -> None:
    page = visit(board, "#/images?only=first")
    image = page.locator(".picture img")
    expect(image).to_have_attribute("alt", re.compile("step 30, 8 by 8"))
    page.locator(".stepper input").focus()
    page.keyboard.press("ArrowLeft")
    expect(image).to_have_attribute("alt", re.compile("step 20"))
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 8


def test_histograms_have_three_forms(visit: Opener, board: Board) -> None:
    page = visit(board, "#/histograms?only=first")
    canvas = page.locator(".card canvas")
    expect(canvas).to_have_attribute("aria-label", re.compile("4 steps"))
    seen = {canvas.screenshot()}
    for name in ("Overlay", "Percentiles"):
        page.click(f"text={name}")
        seen.add(canvas.screenshot())
    assert len(seen) == 3
    canvas.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#announcer")).to_contain_text("median")


def test_settings_sort(visit: Opener, board: Board) -> None:
    page = visit(board, "#/hparams")
    names = page.locator("tbody .row-name")
    expect(names).to_have_text(["first", "second"])
    page.click("thead >> text=rate")
    page.click("thead >> text=rate")
    expect(names).to_have_text(["second", "first"])
    expect(page.locator("th[aria-sort=descending]")).to_have_count(1)
    assert page.locator(".parallel path").count() == 2


def test_names_and_texts_are_never_markup(visit: Opener, board: Board) -> None:
    page = visit(board, "#/scalars?tags=img")
    expect(page.locator(".card-title").first).to_have_text(HOSTILE)
    page.hover(".u-over")
    for name in ("text", "overview"):
        page.click(f"#nav a[data-page={name}]")
        page.wait_for_selector(f".page-{name} .card")
    page.click("#nav a[data-page=text]")
    expect(page.locator(".prose").first).to_contain_text(HOSTILE)
    expect(page.locator(".prose strong").first).to_have_text("bold")
    assert page.locator("img[src=x]").count() == 0
    assert page.locator('a[href^="javascript"]').count() == 0


def test_hostile_texts_do_not_hang_the_page(visit: Opener, tmp_path: Path) -> None:
    with gf.train.SummaryWriter(tmp_path / "run") as writer:
        texts = [
            "`" * 50_000 + "a" * 50_000,
            "a|b\n" + "-" * 99_000 + "x",
            "[" * 99_000,
            "- " * 49_000 + "x",
            "*a" * 50_000,
        ]
        for number, text in enumerate(texts):
            writer.text(f"text{number}", text, 0)
    with watched(tmp_path) as log, running(log) as board:
        page = visit(board, "#/text?tags=%&pin=%&only=%25%")
        page.goto(page.url.split("#")[0] + "#/text")
        page.reload()
        expect(page.locator(".prose").first).to_contain_text("aaaa")
        for number in range(len(texts)):
            page.fill(".find input", f"text{number}")
            expect(page.locator(".prose")).to_have_count(1)
            assert len(page.locator(".prose").inner_text()) > 1000


# The frame around the pages


def test_dark_mode_follows_the_system_until_one_chooses(visit: Opener, board: Board) -> None:
    page = visit(board, "#/scalars", scheme="dark")
    assert brightness(page) < 150
    page.click("#theme")
    assert brightness(page) > 600
    page.reload()
    page.wait_for_selector(".chart canvas")
    assert brightness(page) > 600
    page.keyboard.press("t")
    assert brightness(page) < 150


def test_the_keyboard_is_listed_and_works(visit: Opener, board: Board) -> None:
    page = visit(board, "#/scalars")
    page.wait_for_selector(".chart canvas")
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_contain_text("logarithmic values")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()
    page.keyboard.press("l")
    assert "log=1" in page.url
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"
    page.keyboard.press("Escape")
    page.keyboard.press("]")
    page.wait_for_selector(".page-histograms")


def test_a_board_that_ended_is_noticed(browser: Browser, folder: Path) -> None:
    with watched(folder) as log:
        with running(log) as board:
            page = browser.new_page()
            page.goto(board.address + "#/overview")
            page.wait_for_selector(".page-overview .card")
        expect(page.locator(".lost")).to_contain_text("does not answer", timeout=15_000)
        expect(page.locator("#status")).to_have_text("not connected")
        page.close()
