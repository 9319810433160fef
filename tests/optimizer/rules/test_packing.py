"""Constant weights go into panels, with what follows: which, what others are told, and that values stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Node, Tensor
from graphflow.ops.packed_conv import packed
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract
from graphflow.optimizer.rules import packing

INF = float("inf")


@pytest.fixture(autouse=True)
def single_rows_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small matrices are left to XLA for one row; here they are packed, to keep arrays small."""
    monkeypatch.setattr(packing, "ROW_BYTES", 0)


def draw(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


class Packed:
    """What the pass makes of tensors, with the remarks of its rules."""

    def __init__(self, *outputs: Tensor, feeds: Sequence[Tensor], pipeline: str = "pack-weights") -> None:
        self.plain, self.journal = extract(outputs, feeds=feeds), Journal("remarks")
        program = extract(outputs, feeds=feeds)
        self.program: Program = optimize(program, pipeline=pipeline, journal=self.journal, check=True)

    @property
    def ops(self) -> list[str]:
        hidden = ("placeholder", "constant", "variable")
        return [node.op.name for node in self.program.order() if node.op.name not in hidden]

    @property
    def products(self) -> list[Node]:
        return [node for node in self.program.order() if node.op.name == "packed_conv"]

    @property
    def remarks(self) -> list[tuple[str, str]]:
        return [(remark.rule, remark.reason) for remark in self.journal.remarks]

    def keeps(self, *arrays: np.ndarray, tolerance: float = 1e-4) -> None:
        """The values are the same, up to rounding."""
        wanted = evaluate(self.plain.outputs, dict(zip(self.plain.feeds, arrays)))
        made = evaluate(self.program.outputs, dict(zip(self.program.feeds, arrays)))
        for one, other in zip(made, wanted):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def last_conv(x: Tensor, w: Any, **attrs: Any) -> Tensor:
    made: Tensor = gf.ops.channels_last.channels_last_conv(x, w, **attrs)
    return made


@pytest.fixture(autouse=True)
def graph() -> Any:
    with gf.Graph() as made:
        yield made


# Convolutions


CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 7, 6, 3), (3, 3, 3, 20), {"padding": ((1, 0), (2, 1))}),
    ((1, 5, 5, 8), (1, 1, 8, 7), {"algorithm": "dot", "strides": 2}),
    ((1, 8, 9, 8), (3, 2, 4, 10), {"groups": 2, "algorithm": "im2col"}),
    ((3, 12, 4), (3, 4, 16), {"dilation": 2, "padding": 1}),
    ((1, 1, 1, 1), (1, 1, 1, 1), {}),
]


@pytest.mark.parametrize(("image", "weights", "attrs"), CONVOLUTIONS)
def test_convolutions_with_constant_weights_are_packed(
    image: tuple[int, ...], weights: tuple[int, ...], attrs: dict[str, Any]
) -> None:
    x = gf.placeholder("x", image)
    made = Packed(last_conv(x, draw(*weights), **attrs), feeds=[x])
    assert made.ops == ["packed_conv"] and made.remarks == []
    (node,) = made.products
    groups, outputs = attrs.get("groups", 1), weights[-1] // attrs.get("groups", 1)
    assert node.inputs[1].shape == (groups, -(-outputs // 16), np.prod(weights[:-1]), 16)
    assert not node.attrs.bias and not node.attrs.addend
    assert (node.attrs.lower, node.attrs.upper) == (-INF, INF)
    made.keeps(draw(*image))


def _refused(image: Sequence[Any], weights: Sequence[int], dtype: str = "float32", **attrs: Any) -> Packed:
    x = gf.placeholder("x", image, dtype)
    return Packed(last_conv(x, draw(*weights, dtype=dtype), **attrs), feeds=[x])


@pytest.mark.parametrize(
    ("image", "weights", "attrs", "said"),
    [
        ((1, 6, 6, 4), (3, 3, 4, 4), {"dtype": "float64"}, "there are kernels for float32, not for float64"),
        ((1, 6, 6, 8), (3, 3, 1, 8), {"groups": 8, "algorithm": "shifts"}, "as a sum of shifted images"),
        ((1, 6, 6, 8), (3, 3, 2, 8), {"groups": 4}, "2 channels and 2 outputs a group fill no vector"),
        ((1, 6, 6, 8), (3, 3, 4, 6), {"groups": 2}, "4 channels and 3 outputs a group fill no vector"),
        ((1, 4, 4, 4, 4), (1, 1, 1, 4, 4), {}, "an image has at most 2 spatial axes, not 3"),
        (("n", 6, 6, 4), (3, 3, 4, 4), {}, "a size is not known"),
        ((0, 6, 6, 4), (3, 3, 4, 4), {}, "it has no elements"),
        ((1, 6, 6, 4), (3, 3, 4, 0), {}, "it has no elements"),
    ],
)
def test_other_convolutions_say_why_they_stay(
    image: tuple[Any, ...], weights: tuple[int, ...], attrs: dict[str, Any], said: str
) -> None:
    made = _refused(image, weights, **attrs)
    assert made.ops == ["channels_last_conv"]
    ((rule, reason),) = made.remarks
    assert rule == "conv_in_panels" and reason.startswith(said)


def test_weights_that_change_stay() -> None:
    x, w = gf.placeholder("x", (1, 6, 6, 4)), gf.variable("w", (3, 3, 4, 8))
    made = Packed(last_conv(x, w), gf.matmul(x, gf.variable("v", (4, 512))), feeds=[x])
    assert sorted(made.ops) == ["channels_last_conv", "matmul"]
    assert [rule for rule, _ in made.remarks] == ["conv_in_panels", "product_in_panels"]
    assert all(["is not the same in every run, so it would be" in reason for _, reason in made.remarks])


def steady(*outputs: Tensor, feeds: Sequence[Tensor], pipeline: str = "pack-weights") -> tuple[Any, Any]:
    """Two copies of a program whose variables are steady: as built, and after a pipeline."""
    plain, made = extract(outputs, feeds=feeds), extract(outputs, feeds=feeds)
    plain.steady = made.steady = frozenset(plain.variables)
    return plain, optimize(made, pipeline=pipeline, check=True)


@pytest.mark.parametrize("outputs, groups", [(32, 1), (21, 1), (12, 2), (8, 8)])
def test_steady_weights_are_cut_by_nodes_as_constants_are_at_once(outputs: int, groups: int) -> None:
    weights = draw(3, 3, 8 // groups, outputs)
    x, w = gf.placeholder("x", (1, 6, 6, 8)), gf.variable("w", weights.shape)
    _, made = steady(last_conv(x, w, groups=groups, padding=1), feeds=[x])
    (node,) = [node for node in made.order() if node.op.name == "packed_conv"]
    (panels,) = evaluate([node.inputs[1]], {made.variables["w"]: weights})
    np.testing.assert_array_equal(panels, packed(weights, groups, packing.LANES))


def test_what_bodies_and_random_numbers_make_is_not_steady() -> None:
    x, w = gf.placeholder("x", (4, 32)), gf.variable("w", (32, 40))
    noisy = w + gf.random.normal((32, 40))
    looped = gf.fori_loop(0, 3, lambda i, c: c + w, w)
    _, made = steady(x @ noisy, x @ looped, feeds=[x])
    assert "packed_conv" not in [node.op.name for node in made.order()]


# Products


@pytest.mark.parametrize("lead", [(), (1,), (5,), (2, 3), (2, 1, 3)])
def test_products_with_constant_matrices_are_packed(lead: tuple[int, ...]) -> None:
    x = gf.placeholder("x", (*lead, 32))
    made = Packed(gf.matmul(x, draw(32, 40)), feeds=[x])
    assert made.ops == (["packed_conv"] if len(lead) == 1 else ["reshape", "packed_conv", "reshape"])
    (node,) = made.products
    assert node.output.shape == (np.prod(lead, dtype=int), 40) and node.attrs.kernel == ()
    made.keeps(draw(*lead, 32))


@pytest.mark.parametrize(
    ("shape", "matrix", "said"),
    [
        ((5, 31), draw(31, 33), "has 1023 elements, too few"),
        (("n", 32), draw(32, 32), "a size is not known"),
        ((0, 32), draw(32, 32), "it has no elements"),
        ((5, 32), draw(32, 32, dtype="float64"), "there are kernels for float32, not for float64"),
    ],
)
def test_other_products_say_why_they_stay(shape: tuple[Any, ...], matrix: np.ndarray, said: str) -> None:
    x = gf.placeholder("x", shape, matrix.dtype.name)
    made = Packed(gf.matmul(x, matrix), feeds=[x])
    assert made.ops == ["matmul"]
    ((rule, reason),) = made.remarks
    assert rule == "product_in_panels" and said in reason


def test_constants_on_the_left_stay() -> None:
    x, cube = gf.placeholder("x", (32, 8)), gf.placeholder("cube", (2, 32, 8))
    made = Packed(gf.matmul(draw(64, 32), x), gf.matmul(draw(2, 64, 32), cube), feeds=[x, cube])
    assert made.ops == ["matmul", "matmul"]
    assert [reason.partition(" is the ")[2] for _, reason in made.remarks] == [
        "left operand; panels are cut of the right one"
    ] * 2


def test_products_of_what_is_fed_say_nothing() -> None:
    x, y = gf.placeholder("x", (2, 32, 64)), gf.placeholder("y", (2, 64, 32))
    made = Packed(gf.matmul(x, y), gf.matmul(x, draw(2, 64, 32)), feeds=[x, y])
    assert made.ops == ["matmul", "matmul"] and made.remarks == []


# What follows


def head(rows: int = 6, outputs: int = 40) -> tuple[Tensor, Tensor]:
    """Rows that are fed, and their product with a constant matrix."""
    x = gf.placeholder("x", (rows, 32))
    return x, gf.matmul(x, draw(32, outputs))


@pytest.mark.parametrize(
    "vector",
    [draw(40), draw(1, 40), np.float32(0.5), draw(1)],
    ids=["vector", "row", "scalar", "one"],
)
@pytest.mark.parametrize("first", [True, False])
def test_constants_along_the_last_axis_become_the_bias(vector: np.ndarray, first: bool) -> None:
    x, y = head()
    made = Packed(gf.add(vector, y) if first else gf.add(y, vector), feeds=[x])
    made.keeps(draw(6, 32))
    assert made.ops == ["packed_conv"]
    (node,) = made.products
    assert node.attrs.bias and not node.attrs.addend
    bias = node.inputs[2].node.attrs["value"]
    np.testing.assert_array_equal(bias, np.broadcast_to(vector, (1, 40))[0])


@pytest.mark.parametrize("shape", [(40,), (1, 40), (1,), ()])
def test_vectors_that_are_fed_become_the_bias_too(shape: tuple[int, ...]) -> None:
    x, y = head()
    v = gf.placeholder("v", shape)
    made = Packed(y + v, feeds=[x, v])
    assert len(made.products) == 1 and made.products[0].attrs.bias and "add" not in made.ops
    made.keeps(draw(6, 32), draw(*shape))


def test_columns_stay() -> None:
    x, y = head()
    made = Packed(y + draw(6, 1), feeds=[x])
    assert made.ops == ["packed_conv", "add"] and made.remarks == []
    made.keeps(draw(6, 32))


def test_a_broadcast_vector_is_one() -> None:
    x, y = head()
    v = gf.placeholder("v", (40,))
    made = Packed(y + gf.broadcast_to(v, (6, 40)), feeds=[x, v])
    assert made.ops == ["packed_conv"] and made.products[0].attrs.bias
    made.keeps(draw(6, 32), draw(40))


def test_constant_biases_are_added_up() -> None:
    x, y = head()
    made = Packed(y + draw(40) + draw(1, 40), feeds=[x])
    assert made.ops == ["packed_conv"]
    made.keeps(draw(6, 32))
    v = gf.placeholder("v", (40,))
    made = Packed(y + v + draw(40), feeds=[x, v])
    assert made.ops == ["packed_conv", "add"] and made.remarks[-1][1].endswith("has a bias already")
    made.keeps(draw(6, 32), draw(40))


def test_a_tensor_of_the_result_s_type_is_added() -> None:
    x, y = head()
    z = gf.placeholder("z", (6, 40))
    made = Packed(y + draw(40) + z, feeds=[x, z])
    assert made.ops == ["packed_conv"]
    (node,) = made.products
    assert node.attrs.bias and node.attrs.addend and node.inputs[3] is made.program.feeds[1]
    made.keeps(draw(6, 32), draw(6, 40))


def test_nothing_is_taken_in_that_makes_the_result_larger() -> None:
    x, y = head(rows=1)
    z = gf.placeholder("z", (6, 40))
    made = Packed(y + z, feeds=[x, z])
    assert made.ops == ["packed_conv", "add"] and not made.products[0].attrs.addend
    made.keeps(draw(1, 32), draw(6, 40))
    made = Packed(gf.maximum(y, np.zeros((6, 1), np.float32)), feeds=[x])
    assert made.ops == ["packed_conv", "maximum"]
    made.keeps(draw(1, 32))


def test_a_row_that_is_added_to_a_row() -> None:
    x, y = head(rows=1)
    z = gf.placeholder("z", (1, 40))
    made = Packed(y + z, feeds=[x, z])
    assert made.ops == ["packed_conv"] and made.products[0].attrs.addend
    made.keeps(draw(1, 32), draw(1, 40))


def test_of_two_products_the_later_one_adds_the_other() -> None:
    x = gf.placeholder("x", (1, 6, 6, 8))
    left, right = last_conv(x, draw(3, 3, 8, 8), padding=1), last_conv(x, draw(1, 1, 8, 8))
    for total in (left + right, right + left):
        made = Packed(gf.nn.relu(total + draw(8)), feeds=[x])
        assert made.ops[:2] == ["packed_conv", "packed_conv"]
        first, last = made.products
        assert last.inputs[2].node is first and last.attrs.addend and not first.attrs.addend
        made.keeps(draw(1, 6, 6, 8))


def test_a_product_that_the_other_one_reads_is_no_cycle() -> None:
    x = gf.placeholder("x", (1, 6, 6, 8))
    first = last_conv(x, draw(1, 1, 8, 8))
    second = last_conv(gf.nn.relu(first), draw(3, 3, 8, 8), padding=1)
    for total in (first + second, second + first):
        made = Packed(total, feeds=[x])
        *_, last = made.products
        assert made.ops == ["packed_conv", "relu", "packed_conv"] and last.attrs.addend
        made.keeps(draw(1, 6, 6, 8))


def test_a_product_that_is_added_to_itself() -> None:
    x, y = head()
    made = Packed(gf.add(y, y), feeds=[x])
    assert made.ops == ["packed_conv", "add"]
    assert "has other users" in made.remarks[0][1]
    made.keeps(draw(6, 32))


@pytest.mark.parametrize("made_of", ["users", "results"])
def test_what_others_read_is_written_as_it_is(made_of: str) -> None:
    x, y = head()
    other = gf.exp(y) if made_of == "users" else y
    made = Packed(gf.nn.relu(y), y + draw(40), other, feeds=[x])
    (node,) = made.products
    assert not node.attrs.bias and node.attrs.lower == -INF
    assert {rule for rule, reason in made.remarks if "has other users" in reason} == {
        "bias_into_panels",
        "bound_into_panels",
    }
    made.keeps(draw(6, 32))


def test_shared_through_a_reshape_it_is_written_as_it_is() -> None:
    x = gf.placeholder("x", (2, 3, 32))
    y = gf.matmul(x, draw(32, 40))
    made = Packed(gf.nn.relu(y), gf.exp(y), feeds=[x])
    assert made.products[0].attrs.lower == -INF
    made.keeps(draw(2, 3, 32))


# Bounds


BOUNDS: list[tuple[Any, float, float]] = [
    (lambda y: gf.nn.relu(y), 0.0, INF),
    (lambda y: gf.maximum(y, 0.0), 0.0, INF),
    (lambda y: gf.maximum(gf.constant(np.float32(-1.5)), y), -1.5, INF),
    (lambda y: gf.minimum(y, 2.0), -INF, 2.0),
    (lambda y: gf.clip(y, -1.0, 1.0), -1.0, 1.0),
    (lambda y: gf.minimum(gf.nn.relu(y), 6.0), 0.0, 6.0),
    (lambda y: gf.nn.relu(gf.minimum(y, 6.0)), 0.0, 6.0),
    (lambda y: gf.maximum(gf.minimum(y, 1.0), 2.0), 2.0, 2.0),
    (lambda y: gf.minimum(gf.maximum(y, 2.0), 1.0), 2.0, 1.0),
    (lambda y: gf.clip(gf.clip(y, -1.0, 3.0), -2.0, 0.5), -1.0, 0.5),
    (lambda y: gf.maximum(y, gf.constant(np.full((6, 40), 0.25, np.float32))), 0.25, INF),
]


@pytest.mark.parametrize(("bounded", "lower", "upper"), BOUNDS)
def test_bounds_are_taken_in(bounded: Any, lower: float, upper: float) -> None:
    x, y = head()
    made = Packed(bounded(y), feeds=[x])
    assert made.ops == ["packed_conv"]
    assert (made.products[0].attrs.lower, made.products[0].attrs.upper) == (lower, upper)
    awkward = draw(6, 32)
    awkward[0, 0], awkward[1, 0], awkward[2, 0] = np.nan, np.inf, -np.inf
    awkward[3], awkward[4] = 0.0, -0.0
    made.keeps(awkward)


@pytest.mark.parametrize("limit", [draw(40), draw(6, 1)])
def test_bounds_that_differ_stay(limit: np.ndarray) -> None:
    x, y = head()
    made = Packed(gf.minimum(y, limit), feeds=[x])
    assert made.ops == ["packed_conv", "minimum"]
    made.keeps(draw(6, 32))


def test_what_is_added_to_a_bounded_result_stays() -> None:
    x, y = head()
    made = Packed(gf.nn.relu(y) + draw(40), feeds=[x])
    assert made.ops == ["packed_conv", "add"]
    assert made.remarks == [("bias_into_panels", made.products[0].name + _AFTER)]
    z = gf.placeholder("z", (6, 40))
    made = Packed(gf.nn.relu(y) + z + z, feeds=[x, z])
    assert made.remarks == [("addend_into_panels", made.products[0].name + _AFTER)]


_AFTER = " has bounds, which come after all that is added"


def test_a_second_addend_stays() -> None:
    x, y = head()
    z, u = gf.placeholder("z", (6, 40)), gf.placeholder("u", (6, 40))
    made = Packed(gf.exp(y + z + u), feeds=[x, z, u])
    assert made.ops == ["packed_conv", "add", "exp"]
    assert made.remarks[0][1].endswith("has something added to it already")
    made.keeps(draw(6, 32), draw(6, 40), draw(40, 6).T)


# Through the reshapes of products


def test_all_is_taken_in_through_reshapes_and_reshapes_cancel() -> None:
    x = gf.placeholder("x", (2, 3, 32))
    hidden = gf.nn.relu(gf.matmul(x, draw(32, 64)) + draw(64))
    made = Packed(gf.matmul(hidden, draw(64, 32)) + draw(32) + x, feeds=[x])
    assert made.ops == ["reshape", "packed_conv", "packed_conv", "reshape"]
    first, last = made.products
    assert (first.attrs.bias, first.attrs.lower) == (True, 0.0)
    assert last.attrs.bias and last.attrs.addend
    made.keeps(draw(2, 3, 32))


def test_vectors_stay_vectors_through_reshapes() -> None:
    x = gf.placeholder("x", (32,))
    made = Packed(gf.nn.relu(gf.matmul(x, draw(32, 40)) + draw(40)), feeds=[x])
    assert made.ops == ["reshape", "packed_conv", "reshape"] and made.products[0].attrs.bias
    made.keeps(draw(32))


def test_reshapes_of_channels_are_in_the_way() -> None:
    x, y = head()
    made = Packed(gf.reshape(y, (6, 5, 8)) + draw(8), feeds=[x])
    assert made.ops == ["packed_conv", "reshape", "add"]
    assert made.remarks == [("bias_into_panels", "its channels are reshaped")]
    made.keeps(draw(6, 32))


STEPS: dict[str, Any] = {
    "bias": lambda y, z: y + draw(40),
    "addend": lambda y, z: y + z,
    "relu": lambda y, z: gf.nn.relu(y),
    "lower": lambda y, z: gf.maximum(y, 0.75),
    "upper": lambda y, z: gf.minimum(y, 0.5),
    "product": lambda y, z: y + gf.matmul(z, draw(40, 40)),
    "shared": lambda y, z: gf.nn.relu(y) + y,
    "again": lambda y, z: gf.matmul(gf.matmul(y, draw(40, 32)), draw(32, 40)),
}


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=6), lead=st.integers(1, 2))
def test_whatever_follows_values_stay(steps: list[str], lead: int) -> None:
    with gf.Graph():
        shape = (2,) * (lead - 1) + (3,)
        x, z = gf.placeholder("x", (*shape, 32)), gf.placeholder("z", (*shape, 40))
        y = gf.matmul(x, draw(32, 40))
        for name in steps:
            y = STEPS[name](y, z)
        made = Packed(y, feeds=[x, z])
        assert made.products and "matmul" not in made.ops
        made.keeps(draw(*shape, 32), draw(*shape, 40), tolerance=1e-2)


def test_rules_can_be_excluded() -> None:
    x, y = head()
    program = extract([gf.nn.relu(y + draw(40))], feeds=[x])
    made = optimize(program, pipeline="pack-weights", exclude=["bias_into_panels"])
    names = [node.op.name for node in made.order() if node.op.name not in ("placeholder", "constant")]
    assert names == ["packed_conv", "add", "relu"]
