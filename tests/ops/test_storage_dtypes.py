"""The dtypes that nothing computes with: what they can do, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.dtypes import ALL_DTYPES, NARROW, STORAGE, DType, floating, promote, scalar_dtype
from graphflow.ir.narrow import narrow_bytes
from graphflow.train.event_graph import graph_def
from tests.bad_input.refusal import refused

ON_XLA = [dtype for dtype in NARROW if "float6" not in dtype.name]


def some(dtype: DType) -> np.ndarray:
    """Values of shape [2, 3]."""
    if dtype is gf.string:
        return np.array([["", "é", "a\0b"], ['"\n', "word", "x" * 100]], gf.string.numpy)
    return (
        np.arange(6).astype(np.uint8).reshape(2, 3).astype(np.uint8).view(dtype.numpy)
        if dtype.bits > 2
        else (np.arange(6).astype(np.uint8) % 4).reshape(2, 3).view(dtype.numpy)
    )


def raw(array: np.ndarray) -> list[Any]:
    return array.tolist() if array.dtype.kind == "T" else narrow_bytes(array).tolist()


MOVES: dict[str, Callable[..., gf.Tensor]] = {
    "reshape": lambda x: gf.reshape(x, (3, 2)),
    "permute_dims": lambda x: gf.permute_dims(x, (1, 0)),
    "slice": lambda x: x[:, ::-2],
    "concat": lambda x: gf.concat(x, x, axis=1),
    "split": lambda x: gf.split(x, [1, 2], axis=1)[1],
    "stack": lambda x: gf.stack([x, x]),
    "flip": lambda x: gf.flip(x, 0),
    "roll": lambda x: gf.roll(x, 1, 1),
    "tile": lambda x: gf.tile(x, (2, 1)),
    "repeat": lambda x: gf.repeat(x, 2, axis=0),
    "broadcast_to": lambda x: gf.broadcast_to(x, (2, 2, 3)),
    "expand_dims": lambda x: gf.expand_dims(x, 1),
    "take": lambda x: gf.take(x, [2, 0], axis=1),
    "element": lambda x: x[1, 1],
    "take_along_axis": lambda x: gf.take_along_axis(x, np.int64([[1, 0, 0]]), axis=0),
    "gather_nd": lambda x: gf.gather_nd(x, np.int64([[1, 2], [0, 1]])),
    "where": lambda x: gf.where(gf.equal(x, x[0, 0]), x[1, 0], x),
    "identity": gf.identity,
    "squeeze": lambda x: gf.squeeze(gf.expand_dims(x, 0), 0),
}  # fmt: skip


@pytest.mark.parametrize("dtype", STORAGE, ids=str)
def test_elements_move_unchanged(dtype: DType) -> None:
    """What moves a tensor moves the numbers of its elements the same way, on every backend and level."""
    given = some(dtype)
    x = gf.placeholder("x", (2, 3), dtype)
    i = gf.placeholder("i", (2, 3), gf.int32)
    made = {name: move(x) for name, move in MOVES.items() if name != "where"}
    places = [move(i) for name, move in MOVES.items() if name != "where"]
    chosen = MOVES["where"](x)
    order = np.arange(6, dtype=np.int32).reshape(2, 3)
    for backend in ("numpy", "jax") if dtype in ON_XLA else ("numpy",):
        with gf.Session(backend=backend) as sess:
            values, where = sess.run([list(made.values()), chosen], {x: given})
            indices = sess.run(places, {i: order})
        for name, value, index in zip(made, values, indices):
            assert value.dtype == dtype.numpy and value.shape == index.shape
            assert raw(value) == raw(np.take(given.reshape(-1), index.reshape(-1)).reshape(index.shape)), name
        expected = given.copy()
        expected[given == given[0, 0]] = given[1, 0]
        assert raw(where) == raw(expected)


@pytest.mark.parametrize("dtype", STORAGE, ids=str)
def test_equality(dtype: DType) -> None:
    x, y = gf.placeholder("x", (2, 3), dtype), gf.placeholder("y", (3,), dtype)
    questions = [gf.equal(x, y), gf.not_equal(x, y)]
    given = some(dtype)
    for backend in ("numpy", "jax") if dtype in ON_XLA else ("numpy",):
        with gf.Session(backend=backend) as sess:
            same, other = sess.run(questions, {x: given, y: given[0]})
        assert np.array_equal(same, given == given[0]) and np.array_equal(other, ~same)


# Refusals


@pytest.mark.parametrize("dtype", STORAGE, ids=str)
def test_nothing_computes_with_them(dtype: DType) -> None:
    x = gf.placeholder("x", (3, 3), dtype)
    refusing = [
        lambda: gf.add(x, x), lambda: gf.exp(x), lambda: gf.sum(x), lambda: gf.matmul(x, x),
        lambda: gf.mean(x), lambda: gf.less(x, x), lambda: gf.nn.relu(x), lambda: -x, lambda: gf.is_nan(x),
        lambda: gf.nn.softmax(x), lambda: gf.cumulative_sum(x, axis=0), lambda: gf.sort(x),
    ]  # fmt: skip
    for call in refusing:
        with refused(gf.DTypeError, str(dtype), "gf.astype(x, gf.float32)"):
            call()
    with refused(gf.DTypeError, str(dtype)):
        gf.one_hot(gf.constant([1]), 3, dtype=dtype)
    for other in (gf.float32, gf.int8, gf.string if dtype is not gf.string else gf.int4):
        with refused(gf.DTypeError, "have no common dtype"):
            gf.concat(x, gf.placeholder(f"with_{other}", (3, 3), other))


def test_promotion_knows_them_only_beside_themselves() -> None:
    for dtype in STORAGE:
        assert promote(dtype, dtype) is dtype and dtype.is_storage
        assert not (dtype.is_integer or dtype.is_floating or dtype.is_differentiable)
        for other in ALL_DTYPES:
            if other is not dtype:
                with pytest.raises(gf.DTypeError, match="no common dtype"):
                    promote(dtype, other)
        with pytest.raises(gf.DTypeError, match="nothing is computed"):
            floating(dtype)
    assert scalar_dtype(1, gf.int4) is gf.int4 and scalar_dtype(1.0, gf.float8_e5m2) is gf.float8_e5m2
    with pytest.raises(gf.DTypeError, match="stands beside strings"):
        scalar_dtype(1, gf.string)


def test_python_numbers_take_the_dtype_they_stand_beside_if_they_fit() -> None:
    x = gf.placeholder("x", (2,), gf.int4)
    chosen = gf.where(gf.equal(x, 7), -8, x)
    with gf.Session(backend="jax") as sess:
        assert sess.run(chosen, {x: [7, 3]}).tolist() == [-8, 3]
    with refused(gf.DTypeError, "value 8 does not fit int4"):
        gf.where(gf.equal(x, 8), x, x)


@pytest.mark.parametrize(
    ("value", "dtype", "fact"),
    [
        ([1, 9], gf.int4, "the value 9 does not fit int4"),
        (np.int32([1, 2]), gf.int4, "int32, which is not converted to int4 silently"),
        (np.float32([1, 2]), gf.float8_e4m3fn, "float32, which is not converted"),
        ([1.0, 1e9], gf.float8_e4m3fn, "does not fit float8_e4m3fn"),
        ([1, 2], gf.string, "int64 does not fit string"),
        ([b"a", b"b"], gf.string, "cannot be a tensor"),
        (["a", 1], gf.string, "data of type int"),
        (["a", "b"], gf.float8_e5m2, "string does not fit"),
        (["a", "b"], gf.float32, "dtype <U1"),
    ],
)
def test_feeds_that_do_not_fit(value: Any, dtype: DType, fact: str) -> None:
    x = gf.placeholder("x", (2,), dtype)
    with gf.Session(backend="numpy") as sess, refused(gf.FeedError, fact, "x:0"):
        sess.run(gf.identity(x), {x: value})


@pytest.mark.parametrize("value", [["a", "é"], np.array(["a", "é"]), np.array(["a", "é"], object)])
def test_text_is_fed_in_any_of_numpys_forms(value: Any) -> None:
    x = gf.placeholder("x", (2,), str)
    with gf.Session(backend="numpy") as sess:
        made = sess.run(gf.identity(x), {x: value})
    assert made.dtype == gf.string.numpy and made.tolist() == ["a", "é"]


@pytest.mark.parametrize("dtype", [gf.string, gf.float6_e2m3fn, gf.float6_e3m2fn], ids=str)
def test_jax_refuses_what_xla_lacks_before_it_compiles(dtype: DType) -> None:
    x = gf.placeholder("x", (2,), dtype)
    question = gf.equal(x, x, name="asked")
    with (
        gf.Session(backend="jax") as sess,
        refused(gf.BackendError, "asked (equal)", str(dtype), "backend='numpy'"),
    ):
        sess.run(question, {x: some(dtype)[0, :2]})


def test_a_variable_holds_no_text() -> None:
    with refused(gf.DTypeError, "would hold text", "gf.constant"):
        gf.variable("v", (2,), dtype=gf.string)
    with refused(gf.DTypeError, "would hold text"):
        gf.variable("w", initializer=["a", "b"])


# Files


@pytest.mark.parametrize("dtype", STORAGE, ids=str)
@pytest.mark.parametrize("copies", [1, 40])
def test_text_form_and_saved_models_keep_constants(dtype: DType, copies: int, tmp_path: Path) -> None:
    given = np.concatenate([some(dtype)] * copies)
    constant = gf.constant(given, allow_nan=True)
    made = gf.identity(constant, name="result")
    arrays: dict[str, np.ndarray] = {}
    text = gf.print_graph(made.graph, arrays)
    again = gf.parse_graph(text, arrays)
    assert gf.print_graph(again) == gf.print_graph(made.graph)
    assert raw(again.tensor("constant").node.attrs.value) == raw(given)
    with gf.Session(backend="numpy") as sess:
        path = gf.saved_model.save(tmp_path / "model", sess, inputs=[], outputs={"y": made})
    assert raw(gf.saved_model.load(path).run({}, backend="numpy")["y"]) == raw(given)
    assert b"result" in graph_def(made.graph)


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_variables_live_in_checkpoints_and_saved_models(dtype: DType, tmp_path: Path) -> None:
    given = some(dtype)
    w = gf.variable("w", initializer=given)
    update = gf.assign(w, gf.flip(w, 0))
    with gf.Session(backend="jax" if dtype in ON_XLA else "numpy") as sess:
        sess.run(update)
        sess.save_checkpoint(tmp_path / "checkpoint")
        path = gf.saved_model.save(tmp_path / "model", sess, inputs=[], outputs={"y": gf.identity(w)})
        sess.run(update)
        assert raw(sess.variables[w]) == raw(given)
        sess.restore_checkpoint(tmp_path / "checkpoint")
        assert raw(sess.variables[w]) == raw(given[::-1])
    assert raw(gf.saved_model.load(path).run({}, backend="numpy")["y"]) == raw(given[::-1])


def test_a_variable_of_a_narrow_dtype_starts_from_numbers_that_fit() -> None:
    w = gf.variable("w", (2,), initializer=gf.initializers.constant(0.5), dtype=gf.float8_e4m3fn)
    with gf.Session(backend="jax") as sess:
        assert sess.run(w).tolist() == [0.5, 0.5]
    with refused(gf.DTypeError, "does not fit int4"):
        gf.variable("v", (2,), initializer=gf.initializers.constant(9), dtype=gf.int4)
    with refused(gf.DTypeError, "makes real numbers"):
        gf.variable("u", (2,), initializer=gf.initializers.normal(), dtype=gf.float8_e4m3fn)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("int4[1]{9}", "not a value of int4"),
        ("float8_e4m3fn[1]{0x1.1p-20}", "not a value of float8_e4m3fn"),
        ("string[1]{1}", "a string in double quotes"),
        ('string[2]{"a"}', "has 2 elements"),
    ],
)
def test_text_that_says_what_a_dtype_cannot_hold(text: str, fact: str) -> None:
    with pytest.raises(gf.ParseError, match=fact):
        gf.parse_graph(
            f'graphflow-text 1\ngraph "g" {{\n  %c: {text.partition("{")[0]} = constant(value={text})\n}}\n'
        )
