"""The pass `layout`: what it makes of convolutions, that values stay, and how few permutations are left."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError
from graphflow.ir.interpret import evaluate
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.passes.layout import Layout, permutations
from graphflow.optimizer.pipelines import optimize, parse_pipeline
from graphflow.optimizer.program import Program, extract
from graphflow.optimizer.rewriter import Rewriter
from tests.optimizer.rewriting import build, show, values

LAYOUT = "layout{winograd=4}"


def laid_out(text: str, pipeline: str = LAYOUT) -> tuple[Program, Journal]:
    """The program of a text in the language of tests of rules, after the pass."""
    program, journal = build(text), Journal("remarks")
    optimize(program, pipeline=pipeline, journal=journal, strict=True, check=True)
    return program, journal


def ops(program: Program) -> list[str]:
    return [node.op.name for node in program.order() if node.op.name not in ("placeholder", "constant")]


def assert_keeps(text: str, pipeline: str = LAYOUT, tolerance: float = 1e-5) -> Program:
    """The program has the same values after the pass."""
    plain, (made, _) = build(text), laid_out(text, pipeline)
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal([int(size) for size in feed.shape], np.float32) for feed in plain.feeds]
    for before, after in zip(values(plain, arrays), values(made, arrays)):
        assert before.dtype == after.dtype
        np.testing.assert_allclose(after, before, rtol=tolerance, atol=tolerance)
    return made


def test_a_convolution_stands_between_two_permutations() -> None:
    before = "x: float32[2,3,5,5], w: float32[4,3,3,3] -> conv(x, w, padding=1)"
    after = """x: float32[2,3,5,5], w: float32[4,3,3,3] ->
p = permute_dims(x, (0, 2, 3, 1)); q = permute_dims(w, (2, 3, 1, 0))
permute_dims(channels_last_conv(p, q, padding=1), (0, 3, 1, 2))"""
    program, _ = laid_out(before)
    wanted = build(after)
    Rewriter(wanted).settle()
    assert show(program) == show(wanted)


def test_constant_weights_are_permuted_when_compiling() -> None:
    program, _ = laid_out("x: float32[2,3,5,5] -> conv(x, constant(np.ones((4, 3, 3, 3), 'f')))")
    assert ops(program) == ["permute_dims", "channels_last_conv", "permute_dims"]
    (weights,) = [node.attrs["value"] for node in program.order() if node.op.name == "constant"]
    assert weights.shape == (3, 3, 3, 4) and weights.flags.c_contiguous


def test_variable_kernels_of_one_element_become_matrices_that_products_take_transposed() -> None:
    made = assert_keeps("x: float32[2,3,5,5], w: float32[4,3,1,1] -> conv(x, w)")
    (conv,) = [node for node in made.order() if node.op.name == "channels_last_conv"]
    assert conv.attrs.algorithm == "dot"
    orders = [node.attrs.axes for node in made.order() if node.op.name == "permute_dims"]
    assert (1, 0) in orders and (2, 3, 1, 0) not in orders


BETWEEN = {
    "relu": "relu(y)",
    "bias": "y + reshape(v, (4, 1, 1))",
    "scalar": "y * constant(2.0)",
    "where": "where(y > constant(0.0), y, -y)",
    "astype": "astype(astype(y, dtype='float64'), dtype='float32')",
    "residual": "y + conv(relu(y), k, padding=1)",
    "batch norm": "batch_normalization(y, v, v * v, v, v)",
    "max pool": "max_pool(y, window=3, strides=2, padding=1)",
    "average pool": "avg_pool(y, window=2, padding=1, strides=1)",
    "concat": "concat(y, relu(y), axis=1)[:, 2:6]",
    "pad": "pad(y, pads=((0, 0), (1, 0), (2, 1), (0, 0)))[:, :4]",
    "slice": "y[:, :, 1:, ::2]",
    "mean": "y - mean(y, axis=(2, 3), keepdims=True)",
    "softmax": "softmax(y, axis=1)",
    "quantized": "dequantize_linear(quantize_linear(y, constant(np.float32(0.1)), constant(np.int8(3))), "
    "constant(np.float32(0.1)), constant(np.int8(3)))",
    "resample": "resample(y, axes=(2, 3), sizes=(12, 8), mode='linear')",
}


@pytest.mark.parametrize("name", BETWEEN)
def test_nothing_is_permuted_between_two_convolutions(name: str) -> None:
    header = "x: float32[2,3,8,8], w: float32[4,3,3,3], k: float32[4,4,3,3], v: float32[4]"
    text = f"{header} -> y = conv(x, w, padding=1); z = {BETWEEN[name]}\nconv(z, k)"
    made = assert_keeps(text, tolerance=1e-4)
    assert permutations(Rewriter(made)) == 2, show(made)


def test_one_spatial_axis_and_three() -> None:
    line = "x: float32[2,3,12], w: float32[4,3,3], k: float32[2,4,3] -> y = conv(x, w); "
    made = assert_keeps(line + "z = max_pool(relu(y), window=2); conv(z, k)")
    assert permutations(Rewriter(made)) == 2
    solid = "x: float32[1,2,4,4,4], w: float32[3,2,3,3,3], k: float32[2,3,1,1,1] -> "
    made = assert_keeps(solid + "conv(relu(conv(x, w, padding=1)), k)")
    assert permutations(Rewriter(made)) == 2
    _, journal = laid_out(solid + "max_pool(conv(x, w, padding=1), window=2)")
    said = {remark.reason for remark in journal.remarks if remark.rule == "layout_of_pooling"}
    assert said == {"pooling over 3 spatial axes has none left for the channels"}


def groups_of(channels: int, weights: str = "constant") -> str:
    """Two convolutions of one element in two groups, with one of single channels between them."""
    image = f"x: float32[1,{2 * channels},16,16]"
    shape = (2 * channels, channels, 1, 1)
    if weights == "constant":
        w = f"constant(np.random.default_rng(1).standard_normal({shape}).astype('f'))"
    else:
        image, w = f"{image}, w: float32[{','.join(map(str, shape))}]", "w"
    single = f"constant(np.full(({2 * channels}, 1, 3, 3), 0.5, 'f'))"
    return (
        f"{image} -> y = relu(conv(x, {w}, groups=2)); z = conv(y, {single}, groups={2 * channels})\n"
        f"conv(relu(z), {w}, groups=2)"
    )


@pytest.mark.parametrize(
    ("text", "packed", "moved"),
    [
        (groups_of(8), False, False),
        (groups_of(8), True, True),
        (groups_of(3), True, False),
        (groups_of(8, "fed"), True, False),
    ],
)
def test_groups_move_where_their_weights_will_be_in_panels(text: str, packed: bool, moved: bool) -> None:
    made = assert_keeps(text, f"layout{{packed={str(packed).lower()}}}", tolerance=1e-4)
    assert [name for name in ops(made) if "conv" in name] == ["channels_last_conv" if moved else "conv"] * 3


def test_groups_stay_if_the_rule_that_cuts_panels_is_excluded() -> None:
    program = optimize(build(groups_of(8)), pipeline="layout{packed=true}", exclude=["conv_in_panels"])
    assert "channels_last_conv" not in ops(program)


def test_what_is_larger_is_not_permuted_for_what_is_smaller() -> None:
    text = "x: float32[1,2,4,4], w: float32[3,2,1,1], y: float32[8,3,4,4] -> mean(conv(x, w) + y, axis=0)"
    program, journal = laid_out(text)
    assert permutations(Rewriter(program)) == 2
    assert [r.rule for r in journal.remarks if "more elements" in r.reason] == ["layout_of_elementwise"]


def test_integers_stay_and_say_why() -> None:
    program, journal = laid_out("x: int32[1,2,4,4], w: int32[3,2,1,1] -> conv(x, w)")
    assert ops(program) == ["conv"]
    assert journal.remarks[0].reason == "a convolution of integers is no faster with channels last"


def test_sizes_may_be_symbolic() -> None:
    text = "x: float32[n,3,h,8], w: float32[4,3,3,3] -> mean(relu(conv(x, w, padding=1)), axis=(2, 3))"
    program, journal = laid_out(text)
    assert permutations(Rewriter(program)) == 1
    assert any(r.reason == "only for float32 and float64, and known sizes" for r in journal.remarks)


def test_programs_without_convolutions_are_left_alone() -> None:
    program, journal = laid_out("x: float32[2,3,4,5] -> relu(permute_dims(x, (0, 3, 1, 2)))")
    assert journal.edits == 0 and ops(program) == ["permute_dims", "relu"]


def test_a_journal_that_is_full_stops_the_pass() -> None:
    program = build("x: float32[2,3,5,5], w: float32[4,3,3,3] -> relu(conv(x, w))")
    optimize(program, pipeline=LAYOUT, journal=Journal("entries", limit=1))
    assert ops(program) == ["permute_dims", "permute_dims", "channels_last_conv", "permute_dims", "relu"]


@pytest.mark.parametrize("options", ["winograd=3", "timer=sundial", "packed=often"])
def test_options_that_there_are_not(options: str) -> None:
    with pytest.raises(AttributeValueError):
        parse_pipeline(f"layout{{{options}}}")
    assert parse_pipeline("layout") == [Layout(0, "")]


# Networks


SMALL: dict[str, dict[str, Any]] = {
    "resnet50": {"image": 32, "width": 4, "blocks": (1, 1, 1, 1), "classes": 5},
    "mobilenet_v2": {"image": 32, "width": 0.25, "stages": ((1, 16, 1, 1), (6, 24, 2, 2)), "classes": 5},
    "unet": {"image": 16, "width": 4, "depth": 2},
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("weights", ["constant", "variable"])
def test_a_network_has_one_permutation_left_at_its_input(
    networks: ModuleType, name: str, weights: str
) -> None:
    net = networks.NETWORKS[name](**SMALL[name], weights=weights)
    program = extract(net.outputs, feeds=net.inputs)
    optimize(program, pipeline="eliminate,canonicalize{safety=exact}," + LAYOUT, strict=True)
    assert permutations(Rewriter(program)) == 1
    assert "conv" not in ops(program)


def test_a_network_that_is_trained_has_the_same_loss_and_gradients(networks: ModuleType) -> None:
    net = networks.digits_cnn(batch=3, filters=(3, 4), units=5, train=True)
    weights = [tensor for name, tensor in net.graph.variables.items() if not name.startswith("adam")]
    slopes = gf.gradients(net.loss, weights)
    feeds = net.feeds()
    program = extract([net.loss, *slopes], feeds=list(feeds), training=True)
    plain = evaluate([net.loss, *slopes], _fed(net, feeds))
    optimize(program, pipeline="eliminate,canonicalize{safety=exact}," + LAYOUT, strict=True)
    assert not {"conv", "conv_input_gradient", "conv_weight_gradient"}.intersection(ops(program))
    made = evaluate(program.outputs, _fed_program(program, net, feeds))
    for before, after in zip(plain, made):
        np.testing.assert_allclose(after, before, rtol=2e-4, atol=2e-5)


def _fed(net: Any, feeds: dict) -> dict:
    start = gf.Session(net.graph, backend="numpy").variables
    return {**feeds, **{tensor: start[name] for name, tensor in net.graph.variables.items()}}


def _fed_program(program: Program, net: Any, feeds: dict) -> dict:
    named = {tensor.node.name: array for tensor, array in _fed(net, feeds).items()}
    nodes = [node for node in program.order() if node.op.name in ("placeholder", "variable")]
    return {node.output: named[node.name] for node in nodes}


def test_one_spatial_axis_comes_to_an_end() -> None:
    """There the permutation is its own inverse, so a permuted operand looks like one that is to be moved."""
    x, w = gf.placeholder("x", (2, 3, 5)), gf.placeholder("w", (3, 1, 3))
    wide = gf.pad(x, ((0, 0), (0, 0), (2, 0)))
    y = gf.cos(gf.nn.conv(wide, w, groups=3)) + wide[:, :, :5]
    slopes = gf.gradients(y, [x, w])
    program = extract([y, *slopes], (), [x, w])
    optimize(program, pipeline=LAYOUT, strict=True, check=True)
    assert [node.op.name for node in program.order()].count("channels_last_conv") == 1


@pytest.mark.parametrize("axes", [(0, 2, 1, 3, 4), (0, 1, 2, 3, 4)])
def test_channels_are_shuffled_where_they_are(axes: tuple[int, ...]) -> None:
    """As ShuffleNet does between its convolutions: groups are parted, exchanged and joined again."""
    x = gf.placeholder("x", (2, 12, 5, 5))
    w, v = (gf.constant(np.random.default_rng(s).normal(size=(12, 3, 1, 1)).astype("f")) for s in (0, 1))
    parts = gf.reshape(gf.nn.conv(x, w, groups=4), (2, 3, 4, 5, 5))
    joined = gf.reshape(gf.permute_dims(parts, axes), (2, 12, 5, 5))
    y = gf.nn.conv(gf.nn.relu(joined), v, groups=4)
    program = extract([y], (), [x])
    optimize(program, pipeline=LAYOUT, strict=True, check=True)
    orders = [node.attrs["axes"] for node in program.order() if node.op.name == "permute_dims"]
    inner = [(0, 1, 2, 4, 3)] if axes[1] == 2 else []
    assert orders == [(0, 2, 3, 1), *inner, (0, 3, 1, 2)]
    fed = np.random.default_rng(2).normal(size=(2, 12, 5, 5)).astype("f")
    fed[0, 0, 0, 0] = np.nan
    (made,), (plain,) = evaluate(program.outputs, {program.feeds[0]: fed}), evaluate([y], {x: fed})
    np.testing.assert_allclose(made, plain, rtol=1e-5)


def _unit(batch: int, side: int, channels: int) -> tuple[gf.Tensor, gf.Tensor]:
    """A unit of ShuffleNet without its bias: products by group, a shuffle, single channels, products."""
    rng = np.random.default_rng(7)
    x = gf.placeholder("x", (batch, channels, side, side))
    w, v = (gf.constant(rng.normal(size=(channels, channels // 4, 1, 1)).astype("f")) for _ in range(2))
    k = gf.constant(rng.normal(size=(channels, 1, 3, 3)).astype("f"))
    parts = gf.reshape(gf.nn.relu(gf.nn.conv(x, w, groups=4)), (batch, 4, channels // 4, side, side))
    joined = gf.reshape(gf.permute_dims(parts, (0, 2, 1, 3, 4)), (batch, channels, side, side))
    y = gf.nn.conv(joined, k, padding=1, groups=channels)
    return x, gf.nn.relu(x + gf.nn.conv(y, v, groups=4))


@pytest.mark.parametrize(("batch", "side", "channels"), [(1, 12, 16), (2, 12, 16), (1, 11, 16), (1, 12, 4)])
def test_groups_of_few_channels_stay_first_for_one_image(batch: int, side: int, channels: int) -> None:
    x, y = _unit(batch, side, channels)
    program, journal = extract([y], (), [x]), Journal("remarks")
    optimize(program, pipeline=LAYOUT, journal=journal, strict=True, check=True)
    stays = (batch, side, channels) == (1, 12, 16)
    assert ops(program).count("conv") == (3 if stays else 0)
    assert permutations(Rewriter(program)) == (0 if stays else 2)
    said = [remark.reason for remark in journal.remarks if remark.rule == "channels_last"]
    assert said == ["its groups of few channels on many places are quicker with channels first"] * 3 * stays
    fed = np.random.default_rng(2).normal(size=x.shape).astype("f")
    fed[0, 0, 0, 0] = np.nan
    (made,), (plain,) = evaluate(program.outputs, {program.feeds[0]: fed}), evaluate([y], {x: fed})
    np.testing.assert_allclose(made, plain, rtol=1e-4, atol=1e-4)


def test_single_channels_behind_whole_products_move() -> None:
    text = (
        "x: float32[1,8,16,16], w: float32[8,8,1,1], k: float32[8,1,3,3] -> "
        "conv(relu(conv(x, w)), k, padding=1, groups=8)"
    )
    program, _ = laid_out(text)
    assert "conv" not in ops(program)


def test_other_reshapes_of_images_stay() -> None:
    x = gf.placeholder("x", (2, 12, 4, 4))
    image = gf.nn.conv(x, gf.constant(np.ones((12, 12, 1, 1), "f")))
    outputs = [
        gf.reshape(image, (2, 12, 16)),
        gf.reshape(image, (2, 3, 4, 16)),
        gf.reshape(image, (2, 12, 2, 2, 4)),
        gf.reshape(gf.permute_dims(gf.reshape(image, (2, 3, 4, 4, 4)), (0, 1, 3, 2, 4)), (2, 12, 4, 4)),
    ]
    program = extract(outputs, (), [x])
    optimize(program, pipeline=LAYOUT, strict=True, check=True)
    fed = np.random.default_rng(2).normal(size=(2, 12, 4, 4)).astype("f")
    for made, plain in zip(
        evaluate(program.outputs, {program.feeds[0]: fed}), evaluate(outputs, {x: fed}), strict=True
    ):
        np.testing.assert_allclose(made, plain, rtol=1e-5)
