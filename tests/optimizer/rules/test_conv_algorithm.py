"""The rules that choose algorithms: when each fires, what it says where it does not, and that values stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.node import Node
from graphflow.optimizer.driver import RuleIndex, run_rules
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract
from graphflow.optimizer.rewriter import Rewriter
from graphflow.optimizer.rules.conv_algorithm import Timer, algorithm_rules, geometry_of
from tests.optimizer.rewriting import build, values


def chosen(text: str, largest_tile: int = 0, timer: Timer | None = None) -> tuple[Program, Journal, str]:
    """The program after the rules, and how its convolution is computed."""
    program, journal = build(text), Journal("remarks")
    rewriter = Rewriter(program, journal)
    run_rules(rewriter, RuleIndex([], algorithm_rules(largest_tile, timer)), strict=True)
    rewriter.settle()
    (conv,) = [node for node in program.order() if "conv" in node.op.name]
    return program, journal, f"winograd{conv.attrs.tile}" if "tile" in conv.attrs else conv.attrs.algorithm


def reason(journal: Journal, rule: str) -> str:
    return next(remark.reason for remark in journal.remarks if remark.rule == rule)


def layer(channels: int, size: int, outputs: int, kernel: int = 3, batch: int = 1, **attrs: object) -> str:
    given = "".join(f", {name}={value!r}" for name, value in attrs.items())
    groups = attrs.get("groups", 1)
    assert isinstance(groups, int)
    image, weights = f"{batch},{size},{size},{channels}", f"{kernel},{kernel},{channels // groups},{outputs}"
    return f"x: float32[{image}], w: float32[{weights}] -> channels_last_conv(x, w{given})"


CHOICES = [
    (layer(64, 56, 256, kernel=1), 0, "dot"),
    (layer(256, 56, 512, kernel=1, strides=2), 0, "dot"),
    (layer(3, 8, 4, kernel=1, padding=1), 0, "direct"),
    (layer(96, 28, 96, padding=1, groups=96), 0, "shifts"),
    (layer(8, 14, 16, padding=1, groups=8), 0, "shifts"),
    (layer(64, 14, 64, padding=1, groups=4), 0, "im2col"),
    (layer(512, 7, 512, padding=1), 0, "im2col"),
    (layer(64, 56, 64, padding=1), 0, "direct"),
    (layer(64, 56, 64, padding=1, batch=8), 2, "winograd2"),
    (layer(128, 28, 128, padding=1, batch=8), 4, "winograd4"),
    (layer(64, 56, 64, padding=1, strides=2), 4, "direct"),
    (layer(3, 56, 64, padding=1), 4, "im2col"),
    (layer(3, 224, 24, padding=1, strides=2), 4, "im2col"),
    (layer(3, 224, 64, kernel=7, padding=3, strides=2), 4, "direct"),
    (layer(544, 28, 136, kernel=1, groups=4), 0, "dot"),
    (layer(64, 28, 64, kernel=1, groups=32), 0, "direct"),
]


@pytest.mark.parametrize(("text", "largest_tile", "algorithm"), CHOICES)
def test_the_cheapest_is_chosen(text: str, largest_tile: int, algorithm: str) -> None:
    assert chosen(text, largest_tile)[2] == algorithm


def test_declines_give_all_estimates() -> None:
    _, journal, _ = chosen(layer(8, 8, 4, padding=1), 4)
    assert reason(journal, "conv_by_winograd").startswith(
        "8 channels on 8 x 8 places: direct is cheaper (direct "
    )
    assert {"im2col", "winograd2", "winograd4"} <= set(reason(journal, "conv_as_patches").split())
    _, journal, _ = chosen(layer(3, 8, 4, strides=2), 4)
    assert reason(journal, "conv_by_winograd").startswith("only for 3x3 kernels")


def test_unknown_sizes_and_halves_stay_direct() -> None:
    unknown = "x: float32[n,8,8,4], w: float32[3,3,4,4] -> channels_last_conv(x, w)"
    halves = "x: float16[1,8,8,4], w: float16[1,1,4,4] -> channels_last_conv(x, w)"
    for text in (unknown, halves):
        _, journal, algorithm = chosen(text, 4)
        assert algorithm == "direct"
        assert reason(journal, "conv_by_winograd") == "only for float32 and float64, and known sizes"


def test_empty_convolutions_stay_direct() -> None:
    assert chosen(layer(4, 8, 4, kernel=1, batch=0), 4)[2] == "direct"


def test_gradients_of_products_and_shifts_follow() -> None:
    gradient = (
        "g: float32[1,8,8,6], w: float32[1,1,4,6] -> channels_last_conv_input_gradient(g, w, (1, 8, 8, 4))"
    )
    assert chosen(gradient)[2] == "dot"
    gradient = (
        "x: float32[1,8,8,4], g: float32[1,8,8,4] -> "
        "channels_last_conv_weight_gradient(x, g, (3, 3, 1, 4), padding=1, groups=4)"
    )
    program, _, algorithm = chosen(gradient)
    assert algorithm == "shifts"
    (node,) = [node for node in program.order() if "conv" in node.op.name]
    geometry = geometry_of(node)
    assert geometry is not None and geometry[:5] == (64, (8, 8), 4, 4, 4)


def test_what_is_measured_decides() -> None:
    asked = []

    def timer(node: Node, algorithms: Sequence[str]) -> dict[str, float]:
        asked.append((node.op.name, tuple(algorithms)))
        return {name: 1.0 + (name != "im2col") for name in algorithms}

    assert chosen(layer(8, 8, 4), 4, timer)[2] == "im2col"
    assert asked == [("channels_last_conv", ("direct", "im2col", "winograd2", "winograd4"))]


@pytest.mark.parametrize(
    ("image", "kernel", "dtype", "attrs", "algorithm"),
    [
        ("1,14,14,64", (3, 3, 16, 64), "f", "padding=1, groups=4", "direct"),  # else im2col
        ("1,56,56,64", (1, 1, 64, 256), "f", "", "direct"),  # else dot
        ("1,56,56,64", (1, 1, 64, 256), "d", "", "dot"),
        ("1,14,14,64", (3, 3, 2, 64), "f", "padding=1, groups=32", "im2col"),
        ("1,28,28,96", (3, 3, 1, 96), "f", "padding=1, groups=96", "direct"),  # else shifts
        ("1,28,28,96", (3, 3, 1, 96), "d", "padding=1, groups=96", "shifts"),
        ("1,6,6,6,64", (1, 1, 1, 64, 256), "f", "", "dot"),
    ],
)
def test_panels_stand_for_products_of_every_kind(
    image: str, kernel: tuple[int, ...], dtype: str, attrs: str, algorithm: str
) -> None:
    text = f"x: float{32 if dtype == 'f' else 64}[{image}] -> "
    text += f"channels_last_conv(x, constant(np.ones({kernel}, '{dtype}')), {attrs})"
    program = build(text)
    rewriter = Rewriter(program)
    run_rules(rewriter, RuleIndex([], algorithm_rules(is_packed=True)), strict=True)
    (conv,) = [node for node in rewriter.settle().order() if "conv" in node.op.name]
    assert conv.attrs.algorithm == algorithm


def test_panels_compete_with_winograd() -> None:
    def rules(batch: int, weights: str = "constant(np.ones((3, 3, 128, 128), 'f'))") -> tuple[str, str]:
        text = f"x: float32[{batch},28,28,128], w: float32[3,3,128,128] -> "
        program, journal = build(f"{text} channels_last_conv(x, {weights}, padding=1)"), Journal("remarks")
        rewriter = Rewriter(program, journal)
        run_rules(rewriter, RuleIndex([], algorithm_rules(4, is_packed=True)), strict=True)
        rewriter.settle()
        (name,) = [node.op.name for node in program.order() if "conv" in node.op.name]
        return name, " ".join([remark.reason for remark in journal.remarks])

    name, said = rules(8)
    assert name == "winograd_conv"
    name, said = rules(8, "w")
    assert name == "winograd_conv" and "packed" not in said


@pytest.mark.parametrize(("quickest", "algorithm"), [("packed", "direct"), ("shifts", "shifts")])
def test_panels_are_measured_like_the_others(quickest: str, algorithm: str) -> None:
    asked = []

    def timer(node: Node, algorithms: Sequence[str]) -> dict[str, float]:
        asked.append(tuple(algorithms))
        return {name: 1.0 + (name != quickest) for name in algorithms}

    weights = "constant(np.ones((3, 3, 1, 8), 'f'))"
    program = build(f"x: float32[1,8,8,8] -> channels_last_conv(x, {weights}, groups=8)")
    rewriter = Rewriter(program)
    run_rules(rewriter, RuleIndex([], algorithm_rules(0, timer, is_packed=True)), strict=True)
    (conv,) = [node for node in rewriter.settle().order() if "conv" in node.op.name]
    assert asked == [("packed", "shifts")] and conv.attrs.algorithm == algorithm


def test_winograd_has_to_win_by_a_margin() -> None:
    def timer(seconds: float) -> Timer:
        return lambda node, names: {name: seconds if name == "winograd2" else 1.0 for name in names}

    assert chosen(layer(64, 28, 64), 2, timer(0.9))[2] == "direct"
    assert chosen(layer(64, 28, 64), 2, timer(0.7))[2] == "winograd2"


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("weights", ["constant", "variable"])
def test_winograd_keeps_values_to_its_digits(tile: int, weights: str) -> None:
    text = "x: float32[1,9,7,5], w: float32[3,3,5,4] -> channels_last_conv(x, w, padding=((1, 1), (0, 2)))"
    if weights == "constant":
        text = text.replace(
            "w: float32[3,3,5,4] ->",
            "-> w = constant(np.random.default_rng(1).standard_normal((3, 3, 5, 4)).astype('f')); ",
        )
    plain = build(text)
    program, _, algorithm = chosen(
        text, tile, lambda node, names: {name: 0.0 if name == f"winograd{tile}" else 1.0 for name in names}
    )
    assert algorithm == f"winograd{tile}"
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal([int(n) for n in feed.shape], np.float32) for feed in plain.feeds]
    (before,), (after,) = values(plain, arrays), values(program, arrays)
    error = np.abs(after - before).max() / np.abs(before).max()
    assert error < {2: 2e-6, 4: 2e-5}[tile]
    folded = [n.attrs["value"].shape for n in program.order() if n.op.name == "constant"]
    assert folded == [((tile + 2) ** 2, 5, 4)] if weights == "constant" else [((tile + 2) ** 2, 9)]


def test_not_a_number_stays_within_the_tiles_that_read_it() -> None:
    text = "x: float32[1,8,8,1], w: float32[3,3,1,1] -> channels_last_conv(x, w)"
    program, _, _ = chosen(text, 2, lambda node, names: {name: float(name != "winograd2") for name in names})
    x = np.ones((1, 8, 8, 1), np.float32)
    x[0, 0, 0, 0] = np.inf
    (direct,), (tiled,) = (
        values(build(text), [x, np.ones((3, 3, 1, 1), np.float32)]),
        values(program, [x, np.ones((3, 3, 1, 1), np.float32)]),
    )
    assert np.isinf(direct[0, 0, 0, 0]) and np.isfinite(direct).sum() == direct.size - 1
    assert not np.isfinite(tiled[0, 0, 0, 0]) and np.isfinite(tiled[0, 2:, 2:]).all()


EXCLUDED = [
    ([], "winograd4"),
    (["conv_by_winograd"], "im2col"),
    (["conv_by_winograd", "conv_as_patches"], "direct"),
    (["algorithm"], "direct"),
    (["conv_as_product"], "winograd4"),
]


@pytest.mark.parametrize(("exclude", "algorithm"), EXCLUDED)
def test_what_is_excluded_leaves_the_choice_to_the_others(exclude: list[str], algorithm: str) -> None:
    x = gf.placeholder("x", (8, 512, 7, 7))
    w = gf.constant(np.ones((512, 512, 3, 3), np.float32))
    program = extract([gf.nn.conv(x, w, padding=1)], feeds=[x])
    journal = Journal("remarks")
    made = optimize(program, pipeline="layout{winograd=4}", journal=journal, exclude=exclude)
    (conv,) = [node for node in made.order() if "conv" in node.op.name]
    assert (f"winograd{conv.attrs.tile}" if "tile" in conv.attrs else conv.attrs.algorithm) == algorithm
    if "conv_by_winograd" in exclude:
        assert not [remark for remark in journal.remarks if "winograd" in remark.reason]
