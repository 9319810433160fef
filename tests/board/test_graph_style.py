"""The paints of graphs: texts can be read on all of them, and their lines seen, in both themes."""

from __future__ import annotations

import re

import pytest

from graphflow.board.server import STATIC
from tests.board.test_style import THEMES, contrast

STYLE = (STATIC / "parts" / "graph.css").read_text("utf-8")


def paints(selector: str) -> dict[str, str]:
    block = STYLE.split(selector + " {", 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


PAINTS = {"light": paints(":root"), "dark": paints(':root[data-theme="dark"]')}
NAMES = sorted(name.removeprefix("p-") for name in PAINTS["light"] if name.startswith("p-"))


def test_both_themes_have_all_paints_and_classes_use_them() -> None:
    assert PAINTS["light"].keys() == PAINTS["dark"].keys() and len(NAMES) > 15
    for name in set(NAMES) - {"open-deep"}:
        assert f".paint-{name} {{ --paint: var(--p-{name}); --edge: var(--l-{name}); }}" in STYLE


@pytest.mark.parametrize("theme", PAINTS)
def test_texts_and_lines_stand_out(theme: str) -> None:
    colors, made = THEMES[theme], PAINTS[theme]
    weak = {
        (name, text): round(contrast(colors[text], made[f"p-{name}"]), 2)
        for name in NAMES
        for text in (("ink",) if name in ("heat4", "heat5") else ("ink", "muted"))
        if contrast(colors[text], made[f"p-{name}"]) < 4.5
    }
    assert ".box.paint-heat4 .quiet, .box.paint-heat5 .quiet { fill: var(--ink); }" in STYLE
    # what a pass left as it was, and what surrounds others, has a quiet line
    lines = {
        name: round(contrast(made[f"l-{name}"], made[f"p-{name}"]), 2)
        for name in set(NAMES) - {"open-deep", "open", "faded"}
        if contrast(made[f"l-{name}"], made[f"p-{name}"]) < 3
    }
    assert weak == {} and lines == {}
    for mark in ("removed", "added", "changed"):
        assert contrast(made[f"l-{mark}"], made[f"p-{mark}"]) >= 4.5
