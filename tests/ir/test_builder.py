"""The Builder: operands become tensors of one graph, scalars are weak, errors know the user's line."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, DTypeError, GraphError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder, as_array
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import DTYPES, as_dtype, promote
from graphflow.ir.graph import Graph, default_graph
from graphflow.ir.interpret import evaluate
from graphflow.ir.opdef import registry
from graphflow.ir.provenance import Origin
from graphflow.ops.declare import placeholder

add, multiply, exp, total = (registry[name] for name in ("add", "multiply", "exp", "sum"))


@pytest.mark.parametrize("left", DTYPES, ids=str)
def test_operands_are_promoted(left) -> None:
    x = placeholder("x", (2,), left)
    for index, right in enumerate(DTYPES):
        y = placeholder(f"y{index}", (2,), right)
        assert add(x, y).dtype is add(y, x).dtype is promote(left, right)


def test_python_scalars_are_weak() -> None:
    half = placeholder("h", (2,), "float16")
    byte = placeholder("b", (2,), "uint8")
    assert add(half, 2.5).dtype.name == "float16" and add(2, byte).dtype.name == "uint8"
    assert add(byte, 2.5).dtype.name == "float32" and add(True, byte).dtype.name == "uint8"
    assert add(half, 1j).dtype.name == "complex64"
    assert add(1, 2).dtype.name == "int32" and add(1, 2.0).dtype.name == "float32"


def test_numpy_scalars_and_arrays_are_not() -> None:
    x = placeholder("x", (2,))
    assert add(x, np.float64(2)).dtype.name == "float64"
    assert add(x, np.ones(2, np.float64)).dtype.name == "float64"
    assert add(x, np.float16(2)).dtype.name == "float32"
    assert add(np.complex128(2), x).dtype.name == "complex128"
    assert Builder(default_graph()).tensor(np.float64(2)).dtype.name == "float64"
    assert add(x, [1.0, 2.0]).dtype.name == "float32"


def test_scalars_that_do_not_fit() -> None:
    byte = placeholder("b", (2,), "uint8")
    for value in (300, -1, 10**30):
        with pytest.raises(DTypeError, match=r"do(es)? not fit uint8"):
            add(byte, value)
    with pytest.raises(DTypeError, match="does not fit int32"):
        add(2**40, 1)


def test_sizes_are_operands() -> None:
    x = placeholder("x", ("n",))
    y = multiply(x, Dim("n") + 1)
    values = evaluate([y], {x: np.ones(2, np.float32), y.node.inputs[1]: np.float32(3)})
    assert y.dtype.name == "float32" and values[0].tolist() == [3.0, 3.0]


def test_attributes_are_completed_and_canonical() -> None:
    x = placeholder("x", (2, 3))
    nodes = [total(x, axis).node for axis in (-1, 1, [1], np.int64(1), (-1,))]
    assert len({node.attrs for node in nodes}) == 1 and set(nodes[0].attrs) == set(total.attributes)


def test_wrong_calls() -> None:
    x = placeholder("x", (2, 3))
    cases = [
        (lambda: total(x, axsi=1), "no argument 'axsi'", "did you mean 'axis'"),
        (lambda: total(x, zzz=1), "no argument 'zzz'", "call it as sum("),
        (lambda: total(), "takes 1 tensor but got 0", "call it as"),
        (lambda: add(x), "takes 2 tensors but got 1", "call it as"),
        (lambda: add(x, x, x), "1 arguments too many", "call it as"),
        (lambda: total(x, 1, axis=1), "'axis' twice", None),
        (lambda: total(x, axis={1: 2}), "cannot be an attribute", "pass numbers"),
        (lambda: registry["transpose_everything"], "no operator", None),
        (lambda: registry["placeholder"](), "needs the argument", None),
    ]
    for make, message, hint in cases:
        with pytest.raises((AttributeValueError, GraphError), match=message) as caught:
            make()
        assert hint is None or hint in caught.value.hint


def test_errors_show_operands_and_the_users_line() -> None:
    x, w = placeholder("x", ("n", 64)), placeholder("w", (32, 10))
    with pytest.raises(ShapeError, match="64") as caught:
        add(x, w)  # the faulty line
    text = str(caught.value)
    assert "add(x, w)  # the faulty line" in text and "test_builder.py" in text
    assert "x   float32[n, 64]" in text and "w   float32[32, 10]" in text and "try:" in text


def test_graphs_cannot_be_mixed() -> None:
    with Graph("a"):
        x = placeholder("x", (2,))
    with Graph("b"):
        y = placeholder("y", (2,))
    with pytest.raises(GraphError, match="mixes graphs: y:0 belongs to 'b'"):
        add(x, y)
    with Graph("c"):
        assert add(x, 1.0).graph is x.graph, "the operands' graph wins over the current one"


def test_assumptions_become_constraints_of_the_node_that_makes_them() -> None:
    x, y = placeholder("x", ("n",)), placeholder("y", ("m",))
    z = add(x, y)
    again = add(x, y)
    g = default_graph()
    assert g.constraints == [(Dim("n"), Dim("m"), z.node), (Dim("n"), Dim("m"), again.node)]


def test_a_failed_inference_leaves_no_assumption_for_the_next_node() -> None:
    x, y = placeholder("x", ("n", 3)), placeholder("y", ("m", 4))
    with pytest.raises(ShapeError):
        add(x, y)
    assert dims.take_assumptions() is None
    exp(x)
    assert default_graph().constraints == []


def test_inference_is_remembered_by_types_and_attributes() -> None:
    calls = []
    real = exp.infer
    x = placeholder("x", (2, 77, 3))
    exp.memo.clear()
    exp.infer = lambda types, attrs: calls.append(1) or real(types, attrs)
    try:
        for _ in range(5):
            exp(x)
    finally:
        exp.infer = real
    assert len(calls) == 1


def test_origins_are_captured_or_inherited() -> None:
    x = placeholder("x", (2,))
    b = Builder(x.graph, origin=Origin("rule.py", 7))
    assert b.exp(x).node.origin == Origin("rule.py", 7)
    with b.at(Origin("inner.py", 8)):
        assert b.exp(x).node.origin.file == "inner.py"
    with b.at(None):
        assert b.exp(x).node.origin.file == "rule.py"
    assert exp(x).node.origin.file == __file__


def test_helpers_for_constants() -> None:
    x = placeholder("x", (2, "n"), "bfloat16")
    b = Builder(x.graph)
    assert b.like(3, x).type == registry["constant"].infer((), {"value": np.zeros((), x.dtype.numpy)})[0]
    assert b.full_like(0, x).type is x.type
    assert b.tensor(x) is x and b.tensor(x, "float32").dtype.name == "float32"
    assert b.tensor(Dim("n")).dtype.name == "int32" and b.tensor([[1, 2]]).type.shape == (1, 2)


def test_as_array() -> None:
    assert as_array([1, 2]).dtype == np.int32 and as_array([1.0]).dtype == np.float32
    assert (
        as_array([True]).dtype == bool
        and as_array([]).dtype == np.float32
        and as_array([1j]).dtype == np.complex64
    )
    assert as_array(np.ones(2)).dtype == np.float64 and as_array([1, 2], "int8").dtype == np.int8
    source = np.ones(3)
    copy = as_array(source)
    assert not np.shares_memory(copy, source) and not copy.flags.writeable
    assert as_array(np.ones((2, 3), ">f4").T).dtype == np.dtype("float32")
    assert as_array([1.5], as_dtype("bfloat16")).dtype == as_dtype("bfloat16").numpy
    for value, dtype in (
        ([[1], [1, 2]], None),
        ([b"a"], None),
        (object(), None),
        ([300], "uint8"),
        ([2**40], None),
    ):
        with pytest.raises(DTypeError):
            as_array(value, dtype)


def test_the_namespace_and_the_builder_make_the_same_node() -> None:
    x = placeholder("x", (2,))
    assert gf.exp(x).node.op is Builder(x.graph).exp(x).node.op is exp
