"""Colours: every operator has one, text stays readable on it, and neighbours in the legend differ."""

from __future__ import annotations

import itertools

import graphflow as gf
from graphflow.ir.opdef import registry
from graphflow.viz import colors
from graphflow.viz.colors import Paint, paint_of

PAINTS = [value for value in vars(colors).values() if isinstance(value, Paint)]


def channels(color: str) -> list[float]:
    values = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    return [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2."""
    lights = sorted(
        sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), channels(color))) for color in (one, other)
    )
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def test_text_is_readable_on_every_fill_and_lines_are_seen() -> None:
    for paint in PAINTS:
        assert contrast(colors.TEXT, paint.fill) >= 7, paint
        assert contrast(colors.QUIET, paint.fill) >= 4.5, paint
        assert contrast(paint.line, colors.BACKGROUND) >= 3, paint


def test_paints_differ() -> None:
    for one, other in itertools.combinations(PAINTS, 2):
        assert one.label != other.label and one.line != other.line


def test_every_family_of_operators_has_a_colour_of_its_own_kind() -> None:
    families = {op.family for op in registry}
    assert {family for family in families if family not in colors._BY_FAMILY} <= {"custom"}


def test_what_comes_from_outside_is_told_apart() -> None:
    x = gf.placeholder("x", (2,))
    w = gf.variable("w", (2,))
    c = gf.constant([1.0, 2.0])
    assert [paint_of(tensor.node) for tensor in (x, w, c)] == [colors.INPUT, colors.VARIABLE, colors.CONSTANT]
    assert paint_of(gf.matmul(x, w).node) is colors.LINEAR
