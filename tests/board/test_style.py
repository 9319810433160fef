"""The colours of the board: every text can be read in both themes, by the figures of WCAG 2.1."""

from __future__ import annotations

import re

import pytest

from graphflow.board.server import STATIC

STYLE = (STATIC / "style.css").read_text("utf-8")
RUNS = (STATIC / "parts" / "runs.js").read_text("utf-8")

# Level AA: 4.5 for text, 3 for what is drawn and for the borders of fields.
TEXTS = [
    ("ink", "bg"), ("ink", "surface"), ("ink", "raised"), ("ink", "sunken"), ("ink", "warn-soft"),
    ("ink", "bad-soft"), ("muted", "bg"), ("muted", "surface"), ("muted", "sunken"), ("muted", "raised"),
    ("accent", "surface"), ("accent", "bg"), ("accent", "accent-soft"), ("accent-ink", "accent"),
    ("good", "sunken"), ("warn", "warn-soft"), ("bad", "bad-soft"),
]  # fmt: skip
DRAWN = [
    ("line-strong", "surface"),
    ("accent", "sunken"),
    ("good", "surface"),
    ("warn", "surface"),
    ("bad", "surface"),
]


def variables(selector: str) -> dict[str, str]:
    block = STYLE.split(selector + " {", 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


LIGHT = variables(":root")
THEMES = {"light": LIGHT, "dark": {**LIGHT, **variables(':root[data-theme="dark"]')}}


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_figures_are_those_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
def test_texts_stand_out(theme: str) -> None:
    colors = THEMES[theme]
    weak = {pair: contrast(colors[pair[0]], colors[pair[1]]) for pair in TEXTS}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_borders_and_marks_stand_out(theme: str) -> None:
    colors = THEMES[theme]
    weak = {pair: contrast(colors[pair[0]], colors[pair[1]]) for pair in DRAWN}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 3} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_curves_stand_out_and_differ(theme: str) -> None:
    listed = re.findall(r"#[0-9a-f]{6}", RUNS.split(f"const {theme.upper()} = [", 1)[1].split("]", 1)[0])
    assert len(listed) == len(set(listed)) == 12
    assert all(contrast(color, THEMES[theme]["surface"]) >= 3 for color in listed)


def test_both_themes_set_the_same_colours() -> None:
    assert set(variables(':root[data-theme="dark"]')) == set(LIGHT) and len(LIGHT) > 15
