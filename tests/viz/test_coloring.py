"""What colours tell: the right paint, the same in words, a legend; and refusals with reasons."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, BackendError
from graphflow.ir.node import Tensor
from graphflow.viz import colors
from graphflow.viz.boxes import Box
from graphflow.viz.picture import Picture, picture
from graphflow.viz.svg import to_svg
from tests.viz.graphs import training


def net() -> Tensor:
    x = gf.placeholder("x", (8, 16))
    y = gf.matmul(x, gf.variable("w", (16, 4)))
    return gf.astype(gf.exp(y, name="e"), gf.int32, name="whole")


def box(drawing: Picture, name: str) -> Box:
    return next(one for one in drawing.boxes if one.node is not None and one.node.name == name)


def test_dtypes() -> None:
    drawing = picture(net(), color="dtype")
    assert box(drawing, "e").paint.label == "float32" and box(drawing, "whole").paint.label == "int32"
    assert [paint.label for paint in drawing.legend()] == ["float32", "int32"]
    (whole,) = picture(training(2), 1, color="dtype").boxes
    assert "float32" in whole.lines[-1]


def test_flops_are_shares_of_the_whole() -> None:
    drawing = picture(net(), color="flops")
    # 2 * 8 * 16 * 4 of the product, 32 of exp and of astype
    assert drawing.telling == "operations, 1.09 kFLOP in all"
    assert box(drawing, "matmul").lines[-1] == "1.02 kFLOP · 94.1%"
    assert box(drawing, "matmul").paint is colors.HEAT[0][1]
    assert box(drawing, "e").paint is colors.HEAT[2][1] and box(drawing, "x").paint is colors.HEAT[-1][1]
    labels = [paint.label for paint in drawing.legend()]
    assert labels == ["20 % or more", "1 to 5 %", "less"]
    assert "operations, 1.09 kFLOP in all:" in to_svg(drawing)


def test_amounts_of_collapsed_scopes_add_up() -> None:
    fetches = training(6)
    whole = picture(fetches, 1, color="bytes").boxes[0].lines[-1]
    assert whole.endswith("100.0%")


def test_times_of_a_profile() -> None:
    y = net()
    sess = gf.Session(backend="numpy", level="O0")
    profile = sess.profile(y, {"x": [[1.0] * 16] * 8})
    drawing = picture(y, color=profile)
    assert drawing.telling.startswith("time on numpy, ") and "profile" not in drawing.telling
    assert "us · " in box(drawing, "matmul").lines[-1] or "ms · " in box(drawing, "matmul").lines[-1]
    partly = picture(y.node.inputs[0], color=profile)
    assert "of the profile; the rest is in other nodes" in partly.telling


def test_numbers_by_name_or_tensor() -> None:
    y = net()
    drawing = picture(y, color={"e": 3.0, y: 1})
    assert box(drawing, "e").lines[-1] == "3 · 75.0%" and box(drawing, "whole").lines[-1] == "1 · 25.0%"
    for wrong in (-1.0, float("nan"), "much"):
        with pytest.raises(AttributeValueError, match="no amount"):
            picture(y, color={"e": wrong})


def test_what_a_target_can_run() -> None:
    y = net()
    assert {one.paint for one in picture(y, color="target:numpy").boxes} == {colors.SUPPORTED}

    class Refusing:
        title, order = "", ()

        def of(self, nodes: list) -> tuple:
            return colors.REFUSED, "too hot"

    assert box(picture(y, color=Refusing()), "e").lines[-1] == "too hot"
    with pytest.raises(BackendError, match="no backend 'nump'"):
        picture(y, color="target:nump")


def test_refusals_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    from graphflow.viz import coloring

    class Backend:
        def refusal(self, node: gf.Node) -> str | None:
            return "no exponentials" if node.op.name == "exp" else None

    monkeypatch.setattr(coloring, "get_backend", lambda name: Backend())
    y = net()
    drawing = picture(y, color="target:chip")
    assert box(drawing, "e").paint is colors.REFUSED and box(drawing, "e").lines[-1] == "no exponentials"
    assert box(drawing, "matmul").paint is colors.SUPPORTED
    (whole,) = picture(y, 1, color="target:chip").boxes
    assert whole.paint is colors.PARTLY and whole.lines[-1] == "1 refused: no exponentials"


@pytest.mark.parametrize("color", ["heat", "time", 7, None])
def test_other_colours_are_refused(color: object) -> None:
    with pytest.raises(AttributeValueError, match="colour"):
        picture(net(), color=color)
