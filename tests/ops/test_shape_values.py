"""What small integer tensors hold while building, and that sizes may be given as such tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import ShapeError
from graphflow.ir import dims
from graphflow.ir.interpret import evaluate
from graphflow.ops.shape_values import LARGEST, shape_value
from graphflow.ops.symbolic_values import RULES
from graphflow.session.feeds import needed_placeholders

N, M = gf.Dim("n"), gf.Dim("m")


@pytest.fixture
def x() -> gf.Tensor:
    return gf.placeholder("x", ("n", 6, "m"))


def listed(tensor: gf.Tensor) -> Any:
    value = shape_value(tensor)
    return None if value is None else value.tolist()


def sized(tensor: gf.Tensor, **sizes: int) -> Any:
    """The value of a tensor with its sizes put in."""
    value = shape_value(tensor)
    assert value is not None
    entries = [dims.substitute(entry, sizes) for entry in value.astype(object).flat]
    return np.array(entries, dtype=object).reshape(value.shape)


# Values


@pytest.mark.parametrize(
    ("build", "value"),
    [
        (lambda s: s * 2 + 1, [2 * N + 1, 13, 2 * M + 1]),
        (lambda s: s[::-1], [M, 6, N]),
        (lambda s: s[-2:], [6, M]),
        (lambda s: gf.concat([s[0:1], [-1]]), [N, -1]),
        (lambda s: gf.stack([s[2], s[0]]), [M, N]),
        (lambda s: gf.take(s, gf.constant([2, 0, 2])), [M, N, M]),
        (lambda s: gf.gather_nd(s, gf.constant([[1], [0]])), [6, N]),
        (lambda s: gf.take_along_axis(s, gf.constant([1, 2]), axis=0), [6, M]),
        (lambda s: gf.prod(s), 6 * M * N),
        (lambda s: gf.prod(s[1:], keepdims=True), [6 * M]),
        (lambda s: gf.sum(gf.reshape(s, (1, 3)), axis=1), [M + N + 6]),
        (lambda s: gf.sum(gf.reshape(s, (3, 1)), axis=(0, 1), keepdims=True), [[M + N + 6]]),
        (lambda s: gf.cumulative_prod(s, axis=0), [N, 6 * N, 6 * M * N]),
        (lambda s: gf.cumulative_sum(s, axis=0, reverse=True), None),
        (lambda s: s // 4, [dims.floor_divide(N, 4), 1, dims.floor_divide(M, 4)]),
        (lambda s: s % 4, [N % 4, 2, M % 4]),
        (lambda s: -s, [-N, -6, -M]),
        (lambda s: abs(s), [N, 6, M]),
        (lambda s: gf.abs(-s), None),  # n may be 0
        (lambda s: s**2, [N * N, 36, M * M]),
        (lambda s: gf.square(s), [N * N, 36, M * M]),
        (lambda s: 2**s, None),
        (lambda s: s - s, [0, 0, 0]),
        (lambda s: gf.maximum(s, 0), [N, 6, M]),
        (lambda s: gf.minimum(s, 0), [0, 0, 0]),
        (lambda s: gf.max(s[1:2]), 6),
        (lambda s: gf.min(s), dims.minimum(dims.minimum(N, 6), M)),
        (lambda s: gf.equal(s, -1), [False, False, False]),
        (lambda s: gf.equal(s[:1], 3), None),
        (lambda s: gf.not_equal(s, -2), [True, True, True]),
        (lambda s: gf.less(s, 0), [False, False, False]),
        (lambda s: gf.greater_equal(s, 0), [True, True, True]),
        (lambda s: gf.greater(s, 0), None),
        (lambda s: gf.greater(s + 1, 0), [True, True, True]),
        (lambda s: gf.less_equal(s, s), [True, True, True]),
        (lambda s: gf.where(gf.equal(s, -1), gf.ones_like(s), s), [N, 6, M]),
        (lambda s: gf.where(gf.constant([True, False, True]), s, 0), [N, 0, M]),
        (lambda s: gf.pad(s[:1], ((1, 2),), value=1), [1, N, 1, 1]),
        (lambda s: gf.tile(s[:1], 2), [N, N]),
        (lambda s: gf.flip(s[1:]), [M, 6]),
        (lambda s: gf.roll(s, 1), [M, N, 6]),
        (lambda s: gf.broadcast_to(s[:1], (2,)), [N, N]),
        (lambda s: gf.permute_dims(gf.stack([s, s]), (1, 0)), [[N, N], [6, 6], [M, M]]),
        (lambda s: gf.split(s, [1, 2])[1], [6, M]),
        (lambda s: gf.expand_dims(gf.squeeze(s[:1], axis=0), axis=0), [N]),
        (lambda s: gf.astype(s, "int32"), [N, 6, M]),
        (lambda s: gf.astype(s, "int16"), None),  # may wrap
        (lambda s: gf.astype(s, "uint32") - 1, None),  # may wrap
        (lambda s: gf.astype(s, gf.bool), None),
        (lambda s: gf.astype(s + 1, gf.bool), [True, True, True]),
        (lambda s: gf.stop_gradient(s), [N, 6, M]),
        (lambda s: gf.sort(s), None),
        (lambda s: gf.sort(s[1:2]), [6]),
        (lambda s: gf.arange(3) + gf.constant([1, 2, 3]), [1, 3, 5]),
        (lambda s: gf.take(s, s[1:2]), [M]),
        (lambda s: gf.take(s, s), None),
    ],
)
def test_values(x: gf.Tensor, build: Callable[[gf.Tensor], gf.Tensor], value: Any) -> None:
    assert listed(build(gf.shape_of(x))) == value


@pytest.mark.parametrize(
    ("build", "value"),
    [
        (lambda f: gf.floor(f * 2.0), [2 * N, 12, 2 * M]),
        (lambda f: gf.floor(f * 0.5), [N // 2, 3, M // 2]),
        (lambda f: gf.ceil(f * 0.5), [(N + 1) // 2, 3, (M + 1) // 2]),
        (lambda f: f / 4.0 * 4.0, [N, 6, M]),
        (lambda f: f * 0.5 + 0.5, [(N + 1) // 2, 3, (M + 1) // 2]),
        (lambda f: gf.trunc(f * 1.5), [3 * N // 2, 9, 3 * M // 2]),
        (lambda f: f * gf.constant([1.0, 2.0, 0.25]), [N, 12, M // 4]),
        (lambda f: f * 0.1, None),  # is rounded when the graph runs
        (lambda f: f / 3.0, None),
        (lambda f: f * float("inf"), None),
        (lambda f: f / f, None),
        (lambda f: gf.sqrt(f), None),
    ],
)
def test_floats_on_the_way(x: gf.Tensor, build: Callable[[gf.Tensor], gf.Tensor], value: Any) -> None:
    made = listed(gf.astype(build(gf.astype(gf.shape_of(x), "float32")), "int64"))
    if value is None:
        assert made is None
        return
    for n, m in [(0, 1), (5, 7), (8, 12)]:
        computed = evaluate([gf.astype(build(gf.constant(np.float32([n, 6, m]))), "int64")])[0]
        np.testing.assert_array_equal([dims.substitute(size, {"n": n, "m": m}) for size in made], computed)
        np.testing.assert_array_equal([dims.substitute(size, {"n": n, "m": m}) for size in value], computed)


def test_half_precision_does_not_hold_sizes(x: gf.Tensor) -> None:
    assert listed(gf.astype(gf.astype(gf.shape_of(x), "float16"), "int64")) is None
    assert listed(gf.astype(gf.astype(gf.shape_of(x), "int8") + 1, "int64")) is None


def test_what_comes_from_outside_or_is_large_has_no_value(x: gf.Tensor) -> None:
    assert listed(x) is None
    assert listed(gf.variable("v", (2,), dtype=gf.int32)) is None
    assert listed(gf.placeholder("ids", (17,), gf.int32)) is None
    assert listed(gf.placeholder("open", ("n",), gf.int32)) is None
    assert listed(gf.placeholder("float", (2,))) is None
    assert listed(gf.random.integers(3, shape=(2,), dtype=gf.int32)) is None
    assert listed(gf.argmax(x[0, 0])) is None
    assert listed(gf.broadcast_to(gf.constant(1), (LARGEST + 1,))) is None
    assert listed(gf.broadcast_to(gf.constant(1), (LARGEST,))) == [1] * LARGEST
    assert listed(gf.take(gf.constant(np.arange(1000)), gf.constant([999]))) == [999]


def test_a_long_chain_is_walked_without_recursion(x: gf.Tensor) -> None:
    size = gf.shape_of(x)[0]
    for _ in range(5000):
        size = size + 1
    assert listed(size) == N + 5000


def test_a_fed_placeholder_has_symbols(x: gf.Tensor) -> None:
    shape, count = gf.placeholder("shape", (2, 1), gf.int32), gf.placeholder("n", (), gf.int64)
    assert str(listed(shape)) == "[['shape[0]'], ['shape[1]']]"
    assert str(listed(count + 1)) == "'n[]' + 1"
    assert listed(shape)[0] == listed(shape)[0] and listed(count) != N
    assert listed(gf.greater_equal(count, 0)) is None  # it may be fed -1
    assert listed(gf.maximum(count, 0)) == dims.maximum(listed(count), 0)


@hypothesis.given(st.data())
def test_random_programs_have_the_value_that_they_compute(data: st.DataObject) -> None:
    sizes = {"n": data.draw(st.integers(0, 9)), "m": data.draw(st.integers(1, 9))}
    gf.reset_default_graph()
    x = gf.placeholder("x", ("n", 4, "m"))
    pool: list[gf.Tensor] = [gf.shape_of(x), gf.astype(gf.shape_of(x), "int32"), gf.constant([2, -1, 3])]
    binary = [
        "add",
        "subtract",
        "multiply",
        "maximum",
        "minimum",
        "floor_divide",
        "remainder",
        "equal",
        "less",
    ]
    for _ in range(data.draw(st.integers(1, 6))):
        left, right = data.draw(st.sampled_from(pool)), data.draw(st.sampled_from(pool))
        kind = data.draw(
            st.sampled_from(["binary", "slice", "concat", "where", "sum", "prod", "half", "roll"])
        )
        if kind == "binary" and left.shape == right.shape:
            name = data.draw(st.sampled_from(binary))
            if name in ("floor_divide", "remainder"):
                right = gf.full_like(right, data.draw(st.integers(1, 4)))
            pool.append(gf.astype(getattr(gf, name)(left, right), "int64"))
        elif kind == "slice":
            pool.append(left[data.draw(st.integers(0, 2)) :: data.draw(st.sampled_from([1, -1, 2]))])
        elif kind == "concat" and left.size + right.size < LARGEST:
            pool.append(gf.concat([left, right]))
        elif kind == "where" and left.shape == right.shape:
            pool.append(gf.where(gf.greater(left, right), left, right))
        elif kind in ("sum", "prod"):
            pool.append(getattr(gf, kind)(left[:3], keepdims=True))
        elif kind == "half":
            pool.append(gf.astype(gf.floor(gf.astype(left, "float64") * 0.5), "int64"))
        elif kind == "roll":
            pool.append(gf.roll(left, 1))
    wanted = evaluate(pool, {x: np.zeros((sizes["n"], 4, sizes["m"]), np.float32)})
    for tensor, computed in zip(pool, wanted):
        if shape_value(tensor) is not None:
            np.testing.assert_array_equal(sized(tensor, **sizes).astype(computed.dtype), computed)


def test_every_rule_is_for_an_operator_that_exists() -> None:
    assert {name for name in RULES if name not in gf.registry} == set()


# Tensors where sizes are expected


def test_exporters_chains(x: gf.Tensor) -> None:
    shape = gf.shape_of(x)
    assert gf.reshape(x, gf.concat([shape[0:1], [-1]])).shape == (N, 6 * M)
    heads = gf.reshape(x, gf.concat([shape[:1], gf.constant([2, 3]), shape[2:]]))
    assert heads.shape == (N, 2, 3, M)
    merged = gf.reshape(gf.permute_dims(heads, (0, 2, 1, 3)), [shape[0], shape[1], -1])
    assert merged.shape == (N, 6, M)
    assert gf.zeros(shape).shape == (N, 6, M) and gf.full(shape * 2, 1).shape == (2 * N, 12, 2 * M)
    assert gf.arange(shape[0]).shape == (N,) and gf.arange(1, shape[0] + 1).shape == (N,)
    assert x[: shape[0] - 1].shape == (N - 1, 6, M) or x[: shape[0] - 1].shape == (
        dims.maximum(N - 1, 0),
        6,
        M,
    )
    ids = gf.placeholder("ids", ("n", "m"), gf.int64)
    mask = gf.expand_dims(ids, axis=(1, 2))
    wanted = gf.stack([gf.shape_of(ids)[0], gf.constant(1), shape[2], shape[2]])
    wanted = gf.where(gf.equal(wanted, gf.ones_like(wanted) * -1), gf.ones_like(wanted), wanted)
    assert gf.broadcast_to(mask, wanted).shape == (N, 1, M, M)


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda x, c: gf.reshape(x, (c(3), 2)), (3, 2)),
        (lambda x, c: gf.reshape(x, c([-1])), (6,)),
        (lambda x, c: gf.broadcast_to(x, c([4, 2, 3])), (4, 2, 3)),
        (lambda x, c: gf.tile(x, c([2, 1])), (4, 3)),
        (lambda x, c: gf.repeat(x, c(2), axis=c(1)), (2, 6)),
        (lambda x, c: gf.pad(x, c([[1, 0], [0, 2]])), (3, 5)),
        (lambda x, c: gf.sum(x, axis=c(-1)), (2,)),
        (lambda x, c: gf.max(x, axis=c([0, 1])), ()),
        (lambda x, c: gf.expand_dims(x, axis=c([0, 3])), (1, 2, 3, 1)),
        (lambda x, c: gf.permute_dims(x, c([1, 0])), (3, 2)),
        (lambda x, c: gf.split(x, c([1, 2]), axis=c(1))[1], (2, 2)),
        (lambda x, c: gf.split(x, c(3), axis=1)[0], (2, 1)),
        (lambda x, c: gf.top_k(x, c(2))[0], (2, 2)),
        (lambda x, c: gf.one_hot(gf.constant([1]), c(5)), (1, 5)),
        (lambda x, c: gf.concat([x, x], axis=c(1)), (2, 6)),
        (lambda x, c: gf.stack([x, x], axis=c(1)), (2, 2, 3)),
        (lambda x, c: gf.roll(x, c(1), axis=c(0)), (2, 3)),
        (lambda x, c: gf.flip(x, c([0])), (2, 3)),
        (lambda x, c: gf.moveaxis(x, c(0), c(1)), (3, 2)),
        (lambda x, c: gf.slice(x, c([0, 1]), c([2, 3]), c([1, 1]), axes=c([0, 1])), (2, 2)),
        (lambda x, c: x[c(1) :, : c(2)], (1, 2)),
        (lambda x, c: gf.arange(c(1), c(9), c(2)), (4,)),
        (lambda x, c: gf.linspace(0, 1, c(5)), (5,)),
        (lambda x, c: gf.eye(c(2), c(3)), (2, 3)),
        (lambda x, c: gf.zeros(c([2, 3])), (2, 3)),
        (lambda x, c: gf.ones((c(2), 3)), (2, 3)),
        (lambda x, c: gf.tril(x, c(0)), (2, 3)),
        (lambda x, c: gf.nonzero(x, size=c(4))[0], (4,)),
        (lambda x, c: gf.random.normal(c([2, 2])), (2, 2)),
        (lambda x, c: gf.nn.softmax(x, axis=c(1)), (2, 3)),
    ],
)
def test_sizes_and_axes_given_as_tensors(build: Callable[..., gf.Tensor], shape: tuple) -> None:
    x = gf.placeholder("x", (2, 3))
    made = build(x, gf.constant)
    assert made.shape == shape
    feeds = {x: np.arange(6.0, dtype=np.float32).reshape(2, 3)}
    needed = {tensor.node for tensor in needed_placeholders([made])}
    with gf.Session(backend="numpy") as sess:
        result = sess.run(made, {tensor: value for tensor, value in feeds.items() if tensor.node in needed})
    assert result.shape == shape
    gf.reset_default_graph()
    x = gf.placeholder("x", (2, 3))
    plain = build(x, lambda value: value)
    assert plain.type == made.type


def test_a_value_that_is_not_known_is_refused_with_its_origin(x: gf.Tensor) -> None:
    count = gf.sum(gf.astype(gf.greater(x, 0.0), "int32"))
    with pytest.raises(ShapeError, match="is not known while building, as it depends on") as caught:
        gf.zeros(gf.stack([count, 1]))
    assert "gf.shape_of" in str(caught.value) and "test_shape_values.py" in str(caught.value)
    assert [row[0] for row in caught.value.operands][-1] == "sum"
    with pytest.raises(ShapeError, match="the value of x:0 decides a shape here"):
        gf.reshape(x, x)
    with pytest.raises(ShapeError, match="decides a shape here"):
        gf.arange(gf.variable("v", (), dtype=gf.int32))


def test_tensors_of_a_finished_graph_keep_their_values_apart() -> None:
    values = []
    for size in (2, 3):
        with gf.Graph():
            values.append(listed(gf.shape_of(gf.placeholder("x", (size,)))))
    assert values == [[2], [3]]
