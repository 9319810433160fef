"""Fed values that decide sizes: results, counted compilations, refusals, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import FeedError, GraphError, ParseError, ShapeError
from graphflow.ir.parse import parse_graph
from graphflow.ir.text import print_graph
from graphflow.session import cache

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.fixture
def x() -> gf.Tensor:
    return gf.placeholder("x", ("batch", 3, 4))


@pytest.fixture
def shape() -> gf.Tensor:
    return gf.placeholder("shape", (2,), gf.int64)


def causes(sess: gf.Session) -> list[str]:
    return [record.cause for record in sess.compiles]


def test_a_fed_shape(backend: str, x: gf.Tensor, shape: gf.Tensor) -> None:
    y = gf.reshape(x, shape) * 2.0
    with gf.Session(backend=backend) as sess:
        for value in [(6, 4), (4, 6), [6, 4], np.array([4, 6]), np.array([4, 6], np.int32)]:
            np.testing.assert_array_equal(sess.run(y, {x: X, shape: value}), X.reshape(value) * 2)
        assert causes(sess) == [
            "first run of these fetches",
            "the value of 'shape' changed from (6, 4) to (4, 6)",
        ]
        sess.run(y, {x: X[:1], shape: (4, 3)})
        assert causes(sess)[2:] == [
            "new size batch=1 (was 2), the value of 'shape' changed from (4, 6) to (4, 3)"
        ]
        assert sess.compiles[-1].sizes == {"batch": 1, "shape[0]": 4, "shape[1]": 3}


def test_minus_one_in_a_fed_shape_is_what_the_others_leave(
    backend: str, x: gf.Tensor, shape: gf.Tensor
) -> None:
    y = gf.reshape(x, shape)
    z = gf.sum(y, axis=1) + gf.zeros((y.shape[0],))
    with gf.Session(backend=backend) as sess:
        for value in [(-1, 8), (2, -1), (24, -1), (24, 1)]:
            np.testing.assert_array_equal(sess.run(z, {x: X, shape: value}), X.reshape(value).sum(1))
        np.testing.assert_array_equal(sess.run(shape, {shape: (-1, 8)}), [-1, 8])


@pytest.mark.parametrize("value", [(-1, -1), (5, 5), (0, -1), (7, -1), (-2, -12), (-2, 12), (2**40, 2**40)])
def test_a_fed_shape_that_does_not_fit(backend: str, x: gf.Tensor, shape: gf.Tensor, value: tuple) -> None:
    y = gf.reshape(x, shape)
    with gf.Session(backend=backend) as sess:
        with pytest.raises(FeedError, match="the value of 'shape' is ") as caught:
            sess.run(y, {x: X, shape: value})
        assert str(value) in caught.value.message and "reshape" in caught.value.message
        assert "test_value_feeds.py" in str(caught.value) and caught.value.hint
        assert sess.compiles == []
        assert sess.run(y, {x: X, shape: (6, 4)}).shape == (6, 4)


def test_a_fed_scalar_as_length_bound_and_count(backend: str, x: gf.Tensor) -> None:
    n = gf.placeholder("n", (), gf.int32)
    counted, cut, tiled = gf.arange(n), x[:n], gf.tile(x, [n, 1, 1])
    padded = gf.pad(x, gf.stack([gf.constant([0, 0]), gf.stack([n, n + 1]), gf.constant([0, 0])]))
    hot = gf.one_hot(gf.constant([0, 1]), n)
    with gf.Session(backend=backend) as sess:
        for value in (1, 2, 0):
            got = sess.run([counted, cut, tiled, padded, hot, n * 10], {x: X, n: value})
            want = [
                np.arange(value), X[:value], np.tile(X, (value, 1, 1)),
                np.pad(X, [(0, 0), (value, value + 1), (0, 0)]), np.eye(2, 9)[:, :value], value * 10,
            ]  # fmt: skip
            for result, expected in zip(got, want):
                np.testing.assert_array_equal(result, expected)
        assert len(sess.compiles) == 3


def test_values_out_of_range_are_refused(backend: str, x: gf.Tensor) -> None:
    n = gf.placeholder("n", (), gf.int32)
    with gf.Session(backend=backend) as sess:
        with pytest.raises(
            FeedError, match=r"the value of 'n' is -1, so slice .slice. would have an axis of size -1"
        ):
            sess.run(x[:n], {x: X, n: -1})
        with pytest.raises(
            FeedError, match=r"needs min\('n\[\]', batch\) == 'n\[\]'.*make them 2 and 3 .*'n' is 3"
        ):
            sess.run(x[:n], {x: X, n: 3})
        with pytest.raises(FeedError, match="the value of 'n' is 5, which does not fit: top_k"):
            sess.run(gf.top_k(x, n)[0], {x: X, n: 5})
        with pytest.raises(FeedError, match="the value of 'n' is -1, which does not fit: pad got -1"):
            sess.run(gf.pad(x, gf.stack([gf.stack([n, 0])] * 3)), {x: X, n: -1})
        with pytest.raises(FeedError, match=r"the value of 'n' is 0, which does not fit: .* divided by zero"):
            sess.run(gf.zeros((24 // n,)), {n: 0})
        np.testing.assert_array_equal(sess.run(gf.arange(n), {n: -1}), [])
        np.testing.assert_array_equal(sess.run(n * 2, {n: -1}), -2)


def test_conflicts_between_values_and_shapes(backend: str, x: gf.Tensor, shape: gf.Tensor) -> None:
    z = gf.placeholder("z", (4, 6))
    y = gf.reshape(x, shape) + z
    with gf.Session(backend=backend) as sess:
        np.testing.assert_array_equal(
            sess.run(y, {x: X, z: np.ones((4, 6)), shape: (4, -1)}), X.reshape(4, 6) + 1
        )
        with pytest.raises(FeedError, match=r"add .add. needs .* but the feeds .*shape:0 make them"):
            sess.run(y, {x: X, z: np.ones((4, 6)), shape: (6, 4)})


def test_the_placeholder_is_needed_though_no_node_reads_it(x: gf.Tensor, shape: gf.Tensor) -> None:
    y = gf.reshape(x, shape)
    with gf.Session(backend="numpy") as sess:
        with pytest.raises(FeedError, match="the fetches need a value for 'shape'"):
            sess.run(y, {x: X})
        with pytest.raises(FeedError, match="nothing that is fetched needs the feed shape:0"):
            sess.run(x * 2.0, {x: X, shape: (6, 4)})
        with pytest.raises(FeedError, match="the fetches need values for 'x', 'shape'"):
            sess.run(y)
        assert sess.explain(y) is not None
        assert sess.memory(y, sizes={"batch": 1, "shape[0]": 3, "shape[1]": 4}).plan.output_bytes == 48
        sess.run(y, {x: X, shape: (6, 4)})
        assert sess.memory(y).plan.output_bytes == 96
        assert sess.profile(y, {x: X, shape: (6, 4)}) is not None and len(sess.compiles) == 1


def test_callables_look_at_the_values(backend: str, x: gf.Tensor, shape: gf.Tensor) -> None:
    count = gf.variable("count", (), dtype=gf.int32)
    y = gf.reshape(x, shape)
    with gf.Session(backend=backend) as sess:
        step = sess.make_callable([y, gf.assign(count, count + 1)], [shape, x])
        device = sess.run([shape, x], {shape: (4, 6), x: X}, to_numpy=False)
        for fed in [((6, 4), X), ((4, 6), X), device]:
            np.testing.assert_array_equal(step(*fed)[0], X.reshape(np.asarray(fed[0]).tolist()))
        assert [cause for cause in causes(sess) if "'shape'" in cause] == [
            "the value of 'shape' changed from (6, 4) to (4, 6)"
        ]
        assert sess.variables[count] == 3
        with pytest.raises(FeedError, match="the value of 'shape' is"):
            step((5, 5), X)
        assert sess.variables[count] == 3


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_VARIANTS", 3)
    n = gf.placeholder("n", (), gf.int32)
    y = gf.arange(n)
    with gf.Session(backend="numpy") as sess:
        for value in (0, 1, 2, 0, 1, 2):
            sess.run(y, {n: value})
        assert len(sess.compiles) == 3
        for value in (3, 1, 2, 3):
            sess.run(y, {n: value})
        assert len(sess.compiles) == 4
        assert sess.run(y, {n: 0}).shape == (0,)  # the oldest had gone
        assert causes(sess)[-1] == "the value of 'n' changed from 3 to 0"


def test_many_values_are_warned_about() -> None:
    n = gf.placeholder("n", (), gf.int32)
    y = gf.arange(n)
    with (
        gf.Session(backend="numpy") as sess,
        pytest.warns(UserWarning, match="compiled for 8 different sizes"),
    ):
        for value in range(cache.MANY_VARIANTS):
            sess.run(y, {n: value})


def test_gradients_through_fed_shapes(backend: str, x: gf.Tensor, shape: gf.Tensor) -> None:
    y = gf.reshape(gf.reshape(x, shape) * gf.zeros(shape), shape) + gf.reshape(x, shape) ** 2
    (dx,) = gf.gradients(gf.sum(y), [x])
    assert dx.shape == x.shape
    with gf.Session(backend=backend) as sess:
        for value in [(6, 4), (4, 6)]:
            np.testing.assert_array_equal(sess.run(dx, {x: X, shape: value}), 2 * X)


def test_feeding_another_tensor_than_the_placeholder(x: gf.Tensor, shape: gf.Tensor) -> None:
    y = gf.reshape(x * 1.0, shape)
    with gf.Session(backend="numpy") as sess:
        assert sess.run(y, {"multiply": X, shape: (4, 6)}).shape == (4, 6)
        assert sess.run(y * 2.0, {y: np.ones((4, 6)), shape: (4, 6)}).shape == (4, 6)
        with pytest.raises(FeedError, match="axis 0 must be"):
            sess.run(y * 2.0, {y: np.ones((4, 6)), shape: (5, 6)})


def test_programs_are_simplified_when_their_sizes_are_known(
    backend: str, x: gf.Tensor, shape: gf.Tensor
) -> None:
    n = gf.placeholder("n", (), gf.int32)
    y = gf.reshape(gf.broadcast_to(gf.reshape(x[:n], (n, 3, 4)), gf.stack([n, 3, 4])), (2, 3, 4)) * 2.0
    with gf.Session(backend=backend) as sess:
        np.testing.assert_array_equal(sess.run(y, {x: X, n: 2}), X * 2)
        kept = sess._cache.plan(sess._signature(y, None, None)).last.executable.program
    names = [node.op.name for node in kept.order() if node.op.name not in ("placeholder", "constant")]
    assert names == ["multiply"]
    with gf.Session(backend=backend, level="O0") as sess:
        np.testing.assert_array_equal(sess.run(y, {x: X, n: 2}), X * 2)


def test_attributes_are_canonical_when_their_sizes_are_known(x: gf.Tensor) -> None:
    y = x[: x.shape[0]][::2][1:]
    with gf.Session(backend="numpy", level="O0") as sess:
        assert sess.run(y, {x: X}).shape == (0, 3, 4)
        program = sess._cache.plan(sess._signature(y, None, None)).last.executable.program
    gf.verify(program)
    assert program.outputs[0].node.attrs.stops == (0, 3, 4)


def test_text_form_and_models(tmp_path: Path, x: gf.Tensor, shape: gf.Tensor) -> None:
    n = gf.placeholder("n", (), gf.int32)
    y = gf.add(gf.reshape(x, shape), gf.zeros(shape), name="y")
    z = gf.tile(y, [n, 1])
    text = print_graph(y.graph, origins=False)
    assert "symbol 'shape[0]' in -9223372036854775808..\n" in text and "given('shape[0]', " in text
    assert print_graph(parse_graph(text), origins=False) == text
    for wrong in [
        text.replace("%shape: int64[2]", "%shape: int32[2]"),
        text.replace("%shape: int64[2]", "%shape: int64[1]"),
        text.replace("in -2147483648..", "in -2147483648..5"),
        text.replace("'n[]'", "'m[]'"),
    ]:
        with pytest.raises(ParseError):
            parse_graph(wrong)
    with pytest.raises(GraphError, match="need 'shape', which is not among the inputs"):
        gf.Model(inputs=[x], outputs=[y])
    model = gf.Model(inputs=[x, shape, n], outputs={"y": y, "z": z})
    gf.saved_model.save(tmp_path / "m", model)
    loaded = gf.saved_model.load(tmp_path / "m")
    for one in (model, loaded):
        got = one.run({"x": X, "shape": (4, 6), "n": 2}, backend="numpy")
        np.testing.assert_array_equal(got["z"], np.tile(X.reshape(4, 6), (2, 1)))


def test_inside_a_name_scope_and_beside_a_size_of_that_name(backend: str) -> None:
    with gf.name_scope("head"):
        n = gf.placeholder("n", (), gf.int32)
    x = gf.placeholder("x", ("n", 2))
    y = gf.broadcast_to(gf.sum(x, axis=0), gf.stack([n, 2]))
    with gf.Session(backend=backend) as sess:
        assert sess.run(y, {x: np.ones((5, 2)), n: 3}).shape == (3, 2)
        with pytest.raises(ShapeError, match="cannot name a size"):
            gf.Dim("head/n[]")


def test_inside_branches_and_loops(backend: str, x: gf.Tensor, shape: gf.Tensor) -> None:
    flag = gf.placeholder("flag", (), gf.bool)
    y = gf.cond(flag, lambda: gf.reshape(x, shape), lambda: gf.zeros(shape))
    text = print_graph(y.graph, origins=False)
    assert print_graph(parse_graph(text), origins=False) == text
    with gf.Session(backend=backend) as sess:
        for value in [(6, 4), (4, 6), (6, 4)]:
            got = sess.run(y, {x: X, shape: value, flag: True})
            np.testing.assert_array_equal(got, X.reshape(value))
        assert len(sess.compiles) == 2
        with pytest.raises(FeedError, match=r"the value of 'shape' is \(5, 5\)"):
            sess.run(y, {x: X, shape: (5, 5), flag: True})


def test_a_carry_is_no_size() -> None:
    with pytest.raises(ShapeError, match="is not known while building"):
        gf.fori_loop(0, 3, lambda i, total: total + gf.sum(gf.zeros((i,))), gf.constant(0.0))
