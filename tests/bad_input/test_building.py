"""Mistakes while a graph is built: each names the line, the types involved and the way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import (
    AttributeValueError,
    DTypeError,
    GradientError,
    GraphError,
    GraphFlowError,
    ShapeError,
)
from tests.bad_input.refusal import refused


def test_shapes_that_do_not_fit() -> None:
    x = gf.placeholder("x", ("batch", 64))
    w = gf.variable("w", (32, 10))
    with refused(ShapeError, "float32[batch, 64]", "float32[32, 10]", "64", "32"):
        gf.matmul(x, w)
    with refused(ShapeError, "float32[batch, 64]", "float32[32, 10]", "axis -1"):
        x + w
    with refused(ShapeError, "float32[batch, 64]", "63"):
        x * np.zeros(63, np.float32)
    with refused(ShapeError, "640", "float32[32, 10]"):
        gf.reshape(w, (640,))
    with refused(ShapeError, "float32[32, 10]"):
        gf.concat([w, gf.zeros((32, 10, 1))])
    assert gf.matmul(x, gf.zeros((64, 10))).shape[1] == 10


def test_assumed_sizes_of_a_failed_call_are_forgotten(backend: str) -> None:
    a = gf.placeholder("a", ("n", 2))
    b = gf.placeholder("b", ("m", 3))
    with refused(ShapeError):
        gf.nn.mean_squared_error(a, b)
    with refused(ShapeError):
        a + b
    with gf.Session(backend=backend) as sess:
        shapes = [
            found.shape for found in sess.run([a * 1.5, b * 1.5], {a: np.zeros((1, 2)), b: np.zeros((4, 3))})
        ]
    assert shapes == [(1, 2), (4, 3)]


def test_names_used_twice() -> None:
    gf.variable("w", (3,))
    gf.placeholder("x", ())
    for declare in (
        lambda: gf.variable("w", (2,)),
        lambda: gf.placeholder("w", ()),
        lambda: gf.variable("x", ()),
    ):
        with pytest.raises(GraphError, match="taken already") as caught:
            declare()
        assert str(caught.value).count("test_building.py:") == 2  # where it was taken, and where again
        assert "name_scope" in str(caught.value)
    assert list(gf.default_graph().variables) == ["w"] and list(gf.default_graph().placeholders) == ["x"]
    with gf.name_scope("inner"):
        assert gf.variable("w", (2,)).name == "inner/w:0"


@pytest.mark.parametrize("name", ["", " ", "a b", "a:0", "/a", "a/", None, 3, ("a",), b"a", "a\n"])
def test_names_that_cannot_be(name: Any) -> None:
    builds: list[Callable[[], Any]] = [
        lambda: gf.placeholder(name, ()),
        lambda: gf.variable(name, ()),
        lambda: gf.name_scope(name).__enter__(),
    ]
    if name is not None:
        builds += [
            lambda: gf.constant(1.0, name=name),
            lambda: gf.exp(1.0, name=name),
            lambda: gf.random.normal((), name=name),
            lambda: gf.layers.dense(gf.zeros((1, 2)), 3, name=name),
            lambda: gf.train.SGD(0.1, name=name),
        ]
    for build in builds:
        with pytest.raises(GraphFlowError, match="cannot name a") as caught:
            build()
        assert "test_building.py:" in str(caught.value) and "try: " in str(caught.value)


CONSTANTS = {
    "NaN": (lambda: gf.constant([1.0, float("nan")]), "NaN, first at index (1,)"),
    "NaN as an int": (lambda: gf.constant(float("nan"), dtype=gf.int32), "whole numbers"),
    "NaN of 16 bits": (
        lambda: gf.constant([0.0, float("nan")], dtype=gf.bfloat16),
        "NaN, first at index (1,)",
    ),
    "complex NaN": (lambda: gf.constant(np.array([1j, complex(0, np.nan)])), "NaN"),
    "None": (lambda: gf.constant(None), "object"),
    "an object": (lambda: gf.constant(object()), "object"),
    "ragged rows": (lambda: gf.constant([[1], [1, 2]]), "no rectangular array"),
    "a list in itself": (lambda: gf.constant(_endless()), ""),
    "beyond int32": (lambda: gf.constant(2**31), "does not fit int32"),
    "beyond int64": (lambda: gf.constant(2**63, dtype=gf.int64), "fit"),
    "beyond everything": (lambda: gf.constant([10**30]), "object"),
    "negative as unsigned": (lambda: gf.constant([-1], dtype=gf.uint8), "-1"),
    "fractions as ints": (lambda: gf.constant([0.5], dtype=gf.int32), "whole numbers"),
    "too large as ints": (lambda: gf.constant([1e20], dtype=gf.int64), "whole numbers"),
    "infinity as an int": (lambda: gf.constant(float("inf"), dtype=gf.int32), "whole numbers"),
    "complex as float": (lambda: gf.constant(1j, dtype=gf.float32), "complex"),
    "dates": (lambda: gf.constant(np.zeros(1, "datetime64[s]")), "datetime64"),
    "records": (lambda: gf.constant(np.zeros(1, [("a", "f4")])), ""),
    "an unknown dtype": (lambda: gf.constant(1.0, dtype="float33"), "'float33'"),
    "a nonsense dtype": (lambda: gf.constant(1.0, dtype=3.5), "3.5"),
    "a tensor": (lambda: gf.constant(gf.zeros(())), "has no value"),
}


def _endless() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize("case", CONSTANTS)
def test_constants_that_cannot_be(case: str) -> None:
    make, fact = CONSTANTS[case]
    with pytest.raises(GraphFlowError) as caught:
        make()
    shown = str(caught.value)
    assert fact in shown and "test_building.py:" in shown and "try: " in shown


def test_what_a_constant_may_be() -> None:
    assert np.isnan(gf.constant([float("nan")], allow_nan=True).node.attrs.value).all()
    assert gf.constant(1e300).node.attrs.value == np.inf
    assert gf.constant([1.0, 2.0], dtype=gf.int32).node.attrs.value.tolist() == [1, 2]
    assert gf.constant([], dtype=gf.int32).type == gf.TensorType(gf.int32, (0,))


def test_a_constant_does_not_follow_its_array() -> None:
    array = np.ones(3, np.float32)
    made = [gf.constant(array), gf.constant(array[::1]), gf.multiply(gf.ones((3,)), array).node.inputs[1]]
    array[:] = 7.0
    for tensor in made:
        assert tensor.node.attrs.value.tolist() == [1.0] * 3
        with pytest.raises(ValueError, match="read-only"):
            tensor.node.attrs.value[0] = 5.0


# Gradients


def test_a_gradient_through_an_operator_that_has_none() -> None:
    x = gf.placeholder("x", (3,))
    blocked = gf.sum(gf.astype(gf.argmax(x), gf.float32))
    with refused(GradientError, "argmax"):
        gf.gradients(blocked, x, unconnected="raise")
    w = gf.variable("w", (3,))
    with refused(GradientError, "w"):
        gf.train.SGD(0.1).minimize(gf.sum(gf.stop_gradient(w)), [w])
    with refused(GradientError, "int64[]", "astype"):
        gf.gradients(gf.argmax(x), x)
    with refused(GradientError, "int32"):
        gf.gradients(gf.sum(x), gf.constant(3))


def test_gradients_of_what_is_none() -> None:
    x = gf.placeholder("x", (3,))
    y = gf.sum(x)
    with gf.Graph("other"):
        stranger = gf.placeholder("stranger", ())
    with refused(GradientError, "'other'", "stranger"):
        gf.gradients(y, stranger)
    for wrong in ("x", None, 3, [x, None], np.zeros(3)):
        with refused(GradientError, "no tensor"):
            gf.gradients(y, wrong)
        with refused(GradientError, "no tensor"):
            gf.gradients(wrong, x)
    with refused(GradientError, "no y"):
        gf.gradients([], x)
    with refused(GradientError, "policy", "'raise'"):
        gf.gradients(y, x, unconnected="ignore")
    with refused(GradientError, "float32[3]", "float32[]"):
        gf.gradients(y, x, grad_ys=[1.0, 2.0, 3.0])
    with refused(gf.FeedError, "no array of numbers"):
        gf.check_gradients(y, x, {x: "abc"})
    with refused(gf.FeedError, "dict"):
        gf.check_gradients(y, x, 3)


# Arguments


CALLS = {
    "a misspelt argument": (lambda x: gf.sum(x, axes=0), AttributeValueError, "did you mean 'axis'?"),
    "another library's argument": (lambda x: gf.sum(x, dim=0), AttributeValueError, "call it as sum(x, axis"),
    "a missing argument": (lambda x: gf.reshape(x), AttributeValueError, "'shape'"),
    "too many arguments": (lambda x: gf.exp(x, x), AttributeValueError, "1 arguments too many"),
    "too few tensors": (lambda x: gf.add(x), AttributeValueError, "takes 2 tensors but got 1"),
    "no tensor": (lambda x: gf.add(), AttributeValueError, "takes 2 tensors but got 0"),
    "an argument twice": (lambda x: gf.sum(x, 0, axis=0), AttributeValueError, "'axis' twice"),
    "an axis too far": (lambda x: gf.sum(x, axis=2), AttributeValueError, "from -2 to 1"),
    "an axis twice": (lambda x: gf.sum(x, axis=(0, -2)), AttributeValueError, "twice"),
    "an axis by name": (lambda x: gf.sum(x, axis="batch"), AttributeValueError, "'batch'"),
    "a fractional axis": (lambda x: gf.sum(x, axis=0.5), AttributeValueError, "0.5"),
    "a flag that is text": (lambda x: gf.sum(x, keepdims="no"), AttributeValueError, "True or False"),
    "a flag of arrays": (lambda x: gf.sum(x, keepdims=np.zeros(2)), AttributeValueError, "True or False"),
    "a negative size": (lambda x: gf.reshape(x, (-2, 3)), ShapeError, "-2"),
    "two open sizes": (lambda x: gf.reshape(x, (-1, -1)), ShapeError, "-1"),
    "a size that is text": (lambda x: gf.reshape(x, "12 "), ShapeError, "'12 '"),
    "a shape that is a float": (lambda x: gf.zeros(2.5), ShapeError, "2.5"),
    "a shape that is a set": (lambda x: gf.zeros({2}), ShapeError, "is not a shape"),
    "an unknown dtype": (lambda x: gf.astype(x, "float31"), DTypeError, "'float31'"),
    "a None operand": (lambda x: gf.add(x, None), DTypeError, "object"),
    "a text operand": (lambda x: gf.add(x, "1"), DTypeError, "<U1"),
    "a list of tensors": (lambda x: gf.exp([x, x]), GraphFlowError, "has no value"),
    "a matrix by T": (lambda x: gf.exp(x)[0].T, ShapeError, "T transposes a matrix"),
    "an index too far": (lambda x: x[5], GraphFlowError, "5"),
    "too many indices": (lambda x: x[0, 0, 0], GraphFlowError, ""),
    "an index that is text": (lambda x: x["a"], AttributeValueError, "'a'"),
    "a boolean mask": (lambda x: x[np.array([True, False])], DTypeError, "mask"),
    "a huge number of pieces": (lambda x: gf.split(gf.zeros((0,)), 10**9), AttributeValueError, "1000000000"),
    "a huge power": (lambda x: x**10**400, DTypeError, "float32"),
    "an einsum of nonsense": (lambda x: gf.einsum("ij,jk", x), GraphFlowError, ""),
    "a truth value": (lambda x: bool(x), GraphError, "gf.where"),
    "NumPy's function": (lambda x: np.exp(x), Exception, ""),
    "too many points": (lambda x: gf.linspace(0, 1, -3), AttributeValueError, "-3"),
    "endless steps": (lambda x: gf.arange(0, float("inf")), AttributeValueError, "finite"),
    "steps of zero": (lambda x: gf.arange(0, 5, 0), AttributeValueError, "other than 0"),
    "a negative spread": (lambda x: gf.random.normal((2,), std=-1.0), AttributeValueError, "std"),
    "a probability of 2": (lambda x: gf.random.bernoulli(2.0), AttributeValueError, "2.0"),
    "bounds exchanged": (lambda x: gf.random.uniform((2,), 1.0, 0.0), AttributeValueError, "low <= high"),
    "a bad Dim": (lambda x: gf.Dim(3), ShapeError, "3"),
    "bad bounds": (lambda x: gf.Dim("n", min=5, max=2), ShapeError, "5 and 2"),
}


@pytest.mark.parametrize("case", [case for case in CALLS if case != "NumPy's function"])
def test_wrong_arguments(case: str) -> None:
    call, kind, fact = CALLS[case]
    x = gf.placeholder("x", (4, 3))
    with pytest.raises(kind) as caught:
        call(x)
    shown = str(caught.value)
    assert fact in shown and "test_building.py:" in shown and "try: " in shown


def test_a_function_of_the_user_fails_with_its_own_error() -> None:
    def broken(tensor: gf.Tensor) -> gf.Tensor:
        raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$"):
        gf.layers.dense(gf.zeros((1, 2)), 3, activation=broken)
    with pytest.raises(AttributeValueError, match="no argument 'unknown'"):
        gf.layers.dense(gf.zeros((1, 2)), 3, unknown=1)


# Graphs


def test_graphs_are_not_mixed() -> None:
    x = gf.placeholder("x", (2,))
    with gf.Graph("second"):
        z = gf.placeholder("z", (2,))
        for mix in (lambda: x + z, lambda: gf.concat([z, x]), lambda: gf.where(True, z, x), lambda: z.T @ x):
            with pytest.raises(GraphFlowError) as caught:
                mix()
            assert "test_building.py:" in str(caught.value)
        with refused(GraphError, "'second'", "with graph"):
            x * z
        with refused(GraphError, "'second'"):
            gf.layers.dense(gf.expand_dims(x), 2)
    v = gf.variable("v", (2,))
    with refused(GraphError, "'second'"):
        gf.assign(v, z)


def test_assigning_what_does_not_fit(backend: str) -> None:
    w = gf.variable("w", (2, 3))
    with refused(ShapeError, "float32[2, 3]", "float32[3, 2]"):
        gf.assign(w, gf.zeros((3, 2)))
    with refused(DTypeError, "int32", "astype"):
        gf.assign(w, gf.zeros((2, 3), dtype=gf.int32))
    with refused(DTypeError):
        gf.assign(w, "zero")
    for wrong in (gf.zeros((2, 3)), "w", None, 3):
        with refused(GraphError, "is no variable"):
            gf.assign(wrong, gf.zeros((2, 3)))
    with gf.Session(backend=backend, seed=3) as sess:
        before = sess.variables[w]
        for value in (np.zeros((3, 2)), [[0.0] * 3], "zero", None, np.zeros((2, 3), np.int64), 1.0):
            with refused(gf.FeedError, "w"):
                sess.variables[w] = value
        with refused(gf.FeedError, "w"):
            sess.variables.update({"w": np.zeros((2, 4))})
        np.testing.assert_array_equal(sess.variables[w], before)


def test_variables_that_cannot_be() -> None:
    cases: list[tuple[Callable[[], Any], str]] = [
        (lambda: gf.variable("a"), "has no shape"),
        (lambda: gf.variable("a", ("n", 2)), "symbolic"),
        (lambda: gf.variable("a", (2, -1)), "-1"),
        (lambda: gf.variable("a", (2,), initializer=[1.0, 2.0, 3.0]), "[3]"),
        (lambda: gf.variable("a", (2,), initializer="zeros"), "<U5"),
        (lambda: gf.variable("a", (2,), initializer=gf.initializers.zeros), ""),
        (lambda: gf.variable("a", (2,), dtype="int33"), "int33"),
        (lambda: gf.variable("a", (2,), gf.initializers.normal(), dtype=gf.int32), "int32"),
        (lambda: gf.variable("a", (2,), gf.initializers.constant(0.5), dtype=gf.int32), "int32"),
        (lambda: gf.variable("a", (2,), gf.initializers.orthogonal()), "matrices"),
    ]
    for build, fact in cases:
        with pytest.raises(GraphFlowError) as caught:
            build()
        assert fact in str(caught.value) and "test_building.py:" in str(caught.value)
        assert "try: " in str(caught.value), str(caught.value)
    assert not gf.default_graph().variables and len(gf.default_graph()) == 0


def test_what_fails_half_way_leaves_nothing_behind() -> None:
    x = gf.placeholder("x", ("batch", 4))
    graph = gf.default_graph()
    before = gf.print_graph(graph)
    with refused(GraphFlowError):
        gf.layers.dense(x, 3, bias_initializer="zeros", name="head")
    with refused(AttributeValueError, "'relu' is no function", "gf.nn.relu"):
        gf.layers.dense(x, 3, activation="relu", name="head")
    with refused(GraphFlowError):
        gf.layers.dense(x, 3, bias_initializer="zeros")
    assert gf.print_graph(graph) == before
    y = gf.layers.dense(x, 3, name="head")
    assert gf.layers.dense(x, 3).name.startswith("dense/")
    assert list(graph.variables) == ["head/kernel", "head/bias", "dense/kernel", "dense/bias"]
    text = gf.print_graph(graph)
    with pytest.raises(ZeroDivisionError):
        gf.train.Adam(lambda done: 1 / 0).minimize(gf.sum(y))
    loss = gf.sum(y)
    assert [
        line for line in gf.print_graph(graph).splitlines() if "adam" in line or "gradients" in line
    ] == []
    assert text.splitlines()[2] in gf.print_graph(graph)
    assert gf.train.Adam(0.1).minimize(loss).name == "adam" and "adam/step" in graph.variables
