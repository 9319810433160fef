"""The pictures of the manual: there, small, and drawn by this package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.viz.test_geometry import check

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [path.read_text("utf-8") for path in sorted(DOCS.glob("*.md"))]
SHOWN = sorted({name for page in PAGES for name in re.findall(r"!\[[^\]]+\]\((images/[\w-]+\.svg)\)", page)})


def test_the_manual_shows_some() -> None:
    assert len(SHOWN) >= 4
    assert sorted(SHOWN) == sorted(f"images/{path.name}" for path in (DOCS / "images").glob("*.svg"))


@pytest.mark.parametrize("name", SHOWN)
def test_each_is_small_and_sound(name: str) -> None:
    document = (DOCS / name).read_text("utf-8")
    assert len(document.encode("utf-8")) < 150_000
    assert document.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<svg ') and "/root/" not in document
    if 'class="picture"' in document and document.count("<svg") == 1:
        check(document)
