"""Fed axes: what a call gives for an axis that is fed is what it gives for that axis written down."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.opdef import registry
from graphflow.ir.parse import parse_graph
from graphflow.ir.text import print_graph
from tests.samples import Sample, all_samples

X = np.random.default_rng(3).normal(size=(2, 3)).astype(np.float32)
ONE_AXIS = [
    (name, sample)
    for name, samples in sorted(all_samples().items())
    for sample in samples[:2]
    if type(sample.attrs.get("axis")) is int and not registry[name].finds_size
]


@pytest.fixture
def x() -> gf.Tensor:
    return gf.placeholder("x", (2, 3))


@pytest.fixture
def axis() -> gf.Tensor:
    return gf.placeholder("axis", (), gf.int32)


def fed(name: str, sample: Sample) -> tuple[Any, dict[gf.Tensor, Any]]:
    """The call of a sample with its axis fed, and the feeds."""
    axis = gf.placeholder("axis", (), gf.int64)
    inputs = [
        gf.placeholder(f"input_{number}", array.shape, array.dtype)
        for number, array in enumerate(sample.inputs)
    ]
    made = registry[name](*inputs, **{**sample.attrs, "axis": axis})
    return made, dict(zip([*inputs, axis], [*sample.inputs, sample.attrs["axis"]]))


@pytest.mark.parametrize(("name", "sample"), ONE_AXIS, ids=[name for name, _ in ONE_AXIS])
def test_every_operator_with_an_axis(name: str, sample: Sample) -> None:
    made, feeds = fed(name, sample)
    wanted = registry[name](*[gf.constant(array, allow_nan=True) for array in sample.inputs], **sample.attrs)
    with gf.Session(backend="numpy") as sess:
        found = sess.run(made, feeds)
        expected = sess.run(wanted)
    for one, other in zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]:
        np.testing.assert_array_equal(one, other)


def test_there_are_such_operators() -> None:
    assert len({name for name, _ in ONE_AXIS}) >= 15


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("level", ["O0", "O2"])
def test_a_session_compiles_once_for_each_axis(
    backend: str, level: str, x: gf.Tensor, axis: gf.Tensor
) -> None:
    y = gf.sum(x, axis=axis)
    sess = gf.Session(backend=backend, level=level)
    for value in (0, 1, -1, 0, 1):
        np.testing.assert_allclose(sess.run(y, {x: X, axis: value}), X.sum(value), rtol=1e-6)
    assert [record.cause for record in sess.compiles] == [
        "first run of these fetches",
        "the value of 'axis' changed from 0 to 1",
        "the value of 'axis' changed from 1 to -1",
    ]


def test_only_the_chosen_axis_is_compiled(x: gf.Tensor, axis: gf.Tensor) -> None:
    sess = gf.Session(backend="numpy")
    sess.run(gf.sum(x, axis=axis), {x: X, axis: 1})
    assert sess.compiles[0].nodes == 3  # x, axis and one sum


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_several_axes(backend: str) -> None:
    axes = gf.placeholder("axes", (2,), gf.int64)
    c = gf.placeholder("c", ("n", 3, 4))
    y = gf.squeeze(gf.sum(c, axis=axes, keepdims=True), axis=axes)
    value = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    sess = gf.Session(backend=backend)
    for pair in ([0, 2], [-1, 1], [1, 0]):
        np.testing.assert_array_equal(sess.run(y, {c: value, axes: pair}), value.sum(tuple(pair)))
    with pytest.raises(gf.FeedError, match=r"the value of 'axes' is \(1, -2\)"):
        sess.run(y, {c: value, axes: [1, -2]})


def test_lists_of_tensors_and_composites(x: gf.Tensor, axis: gf.Tensor) -> None:
    made = [
        gf.concat([x, x], axis=axis),
        gf.stack([x, x, x], axis=axis),
        gf.var(x, axis=axis),
        gf.nn.softmax(x, axis=axis),
        gf.expand_dims(x, axis=axis),
        gf.take(x, gf.constant([1]), axis=axis),
    ]
    for value in (0, 1, -1):
        found = gf.Session(backend="numpy").run(made, {x: X, axis: value})
        e = np.exp(X - X.max(value, keepdims=True))
        expected = [
            np.concatenate([X, X], value),
            np.stack([X, X, X], value),
            X.var(value),
            e / e.sum(value, keepdims=True),
            np.expand_dims(X, value),
            np.take(X, [1], value),
        ]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_split_gives_as_many_for_each_axis(axis: gf.Tensor) -> None:
    x = gf.placeholder("x", (4, 6))
    first, second = gf.split(x, 2, axis=axis)
    value = np.arange(24, dtype=np.float32).reshape(4, 6)
    for number in (0, 1):
        found = gf.Session(backend="numpy").run([first, second], {x: value, axis: number})
        for one, other in zip(found, np.split(value, 2, number), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_gradients_of_first_and_second_order(backend: str, x: gf.Tensor, axis: gf.Tensor) -> None:
    def loss(x: gf.Tensor, axis: Any) -> gf.Tensor:
        total = gf.sum(x * x, axis=axis)
        return gf.sum(total * total * total)

    (first,) = gf.gradients(loss(x, axis), [x])
    (second,) = gf.gradients(gf.sum(first * first), [x])
    plain = []
    for number in (0, 1):
        (one,) = gf.gradients(loss(x, number), [x])
        plain.append([one, *gf.gradients(gf.sum(one * one), [x])])
    sess = gf.Session(backend=backend)
    for number in (0, 1, -1):
        found = sess.run([first, second], {x: X, axis: number})
        expected = sess.run(plain[number], {x: X})
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-5)


def test_vmap(axis: gf.Tensor) -> None:
    rows = gf.placeholder("rows", (5, 2, 3))
    w = gf.placeholder("w", (3,))
    y = gf.vmap(lambda row: gf.sum(row * w, axis=axis))(rows)
    value = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    for number in (0, 1, -2):
        found = gf.Session(backend="numpy").run(y, {rows: value, axis: number, w: [1, 2, 3]})
        np.testing.assert_allclose(found, (value * [1, 2, 3]).sum(number % 2 + 1), rtol=1e-5)


def test_inside_a_body(axis: gf.Tensor) -> None:
    steps = gf.placeholder("steps", (4, 2, 3))
    total, _ = gf.scan(lambda c, s: (c + gf.sum(gf.cumulative_sum(s, axis=axis)), c), 0.0, steps)
    value = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)
    for backend in ("numpy", "jax"):
        for number in (0, 1):
            found = gf.Session(backend=backend).run(total, {steps: value, axis: number})
            np.testing.assert_allclose(found, np.cumsum(value, number + 1).sum(), rtol=1e-5)


def test_for_axis_keeps_a_computation_whole(x: gf.Tensor, axis: gf.Tensor) -> None:
    centred = gf.for_axis(lambda x, axis: x - gf.mean(x, axis=axis, keepdims=True), x, axis=axis)
    for number in (0, 1, -1):
        found = gf.Session(backend="numpy").run(centred, {x: X, axis: number})
        np.testing.assert_allclose(found, X - X.mean(number, keepdims=True), atol=1e-6)


def test_for_axis_of_a_known_axis_is_a_plain_call(x: gf.Tensor) -> None:
    y = gf.for_axis(lambda x, axis: gf.sum(x, axis=axis), x, axis=gf.constant(1))
    assert y.node.op.name == "sum" and y.node.attrs.axis == (1,)


def test_it_is_kept_in_text_and_in_files(x: gf.Tensor, axis: gf.Tensor, tmp_path: Any) -> None:
    y = gf.sum(x, axis=axis, name="y")
    text = print_graph(y.graph)
    assert print_graph(parse_graph(text)) == text
    model = gf.Model(y.graph, inputs=[x, axis], outputs=[y])
    gf.saved_model.save(tmp_path / "model", model)
    loaded = gf.saved_model.load(tmp_path / "model")
    np.testing.assert_allclose(
        loaded.run({"x": X, "axis": np.int32(1)}, backend="numpy")["y"], X.sum(1), rtol=1e-6
    )


def test_an_axis_out_of_range_names_the_feed_and_the_line(x: gf.Tensor, axis: gf.Tensor) -> None:
    y = gf.sum(x, axis=axis)
    for number in (2, -3):
        with pytest.raises(gf.FeedError, match=rf"'axis' is {number}.*sum cannot take the axis") as caught:
            gf.Session(backend="numpy").run(y, {x: X, axis: number})
        assert "test_fed_axis.py" in str(caught.value) and "from -2 to 1" in str(caught.value.hint)


def test_broadcasting_along_it_is_refused_with_the_way_out(x: gf.Tensor, axis: gf.Tensor) -> None:
    with pytest.raises(gf.ShapeError, match="depends on an axis that is fed") as caught:
        x - gf.mean(x, axis=axis, keepdims=True)
    assert "for_axis" in str(caught.value.hint)


def test_a_call_that_takes_no_axis_says_why(axis: gf.Tensor) -> None:
    scalar = gf.placeholder("scalar", ())
    before = len(scalar.graph.nodes)
    with pytest.raises(gf.GraphFlowError, match="cumulative_sum"):
        gf.cumulative_sum(scalar, axis=axis)
    assert len(scalar.graph.nodes) == before


def test_results_of_different_rank_are_refused(x: gf.Tensor, axis: gf.Tensor) -> None:
    def uneven(x: gf.Tensor, axis: int) -> gf.Tensor:
        return x if axis else gf.reshape(x, (6,))

    with pytest.raises(gf.ShapeError, match="of other ranks"):
        gf.for_axis(uneven, x, axis=axis)


def test_random_streams_inside_are_reproduced(x: gf.Tensor, axis: gf.Tensor) -> None:
    y = gf.for_axis(lambda x, axis: gf.sum(x + gf.random.normal((2, 3)), axis=axis), x, axis=axis)
    runs = [gf.Session(backend="numpy", seed=zlib.crc32(b"a")).run(y, {x: X, axis: 1}) for _ in range(2)]
    np.testing.assert_array_equal(*runs)
