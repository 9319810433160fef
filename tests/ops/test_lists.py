"""Sequences and optional values: ONNX's own cases, positions against those of Python's lists, refusals."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.backend.test.case import model as collected

import graphflow as gf
from graphflow.ir.interpret import evaluate
from graphflow.ops.onnx_vocabulary import SPELLINGS
from tests.bad_input.refusal import refused
from tests.onnx_cases import Case, cases

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)

# ONNX's cases


def _split(x: Any, sizes: Any = None, axis: int = 0, keepdims: int = 1) -> Any:
    return gf.sequence.split(x, None if sizes is None else np.asarray(sizes), axis, bool(keepdims))


def _joined(xs: Any, axis: int, new_axis: int = 0) -> Any:
    return gf.stack(xs, axis) if new_axis else gf.concat(xs, axis)


def _mapped(xs: Any, *more: Any, body: onnx.GraphProto) -> Any:
    def fn(*row: Any) -> Any:
        made = _interpreted(body, dict(zip([one.name for one in body.input], row)))
        return tuple(made) if len(made) > 1 else made[0]

    return gf.sequence.map(fn, xs, *more)


def _empty(dtype: int = onnx.TensorProto.FLOAT) -> Any:
    return gf.sequence.empty(onnx.helper.tensor_dtype_to_np_dtype(dtype))


SAID: dict[str, Callable[..., Any]] = {
    "Add": gf.add,
    "ConcatFromSequence": _joined,
    "Identity": gf.identity,
    "OptionalGetElement": gf.sequence.get_element,
    "OptionalHasElement": gf.sequence.has_element,
    "SequenceAt": gf.sequence.at,
    "SequenceConstruct": gf.sequence.construct,
    "SequenceEmpty": _empty,
    "SequenceErase": gf.sequence.erase,
    "SequenceInsert": gf.sequence.insert,
    "SequenceLength": gf.sequence.length,
    "SequenceMap": _mapped,
    "Shape": lambda x: gf.astype(gf.shape_of(x), gf.int64),
    "SplitToSequence": _split,
}


def _interpreted(graph: onnx.GraphProto, values: dict[str, Any]) -> list[Any]:
    """The outputs of an ONNX graph whose nodes are said in GraphFlow."""
    values.update((one.name, onnx.numpy_helper.to_array(one)) for one in graph.initializer)
    for node in graph.node:
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        made = SAID[node.op_type](*[values[name] for name in node.input], **attributes)
        values.update(zip(node.output, made if isinstance(made, tuple) else [made]))
    return [values[one.name] for one in graph.output]


def _flat(values: Any) -> list[Any]:
    return [leaf for one in values for leaf in (one if isinstance(one, list) else [one])]


def _same(name: str, made: list[Any], expected: Any) -> None:
    assert [isinstance(one, list) and len(one) for one in made] == [
        isinstance(one, list) and len(one) for one in expected
    ], name
    for result, wanted in zip(evaluate(_flat(made)), _flat(expected), strict=True):
        assert result.dtype == np.asarray(wanted).dtype, name
        np.testing.assert_array_equal(result, wanted, err_msg=name)


NODES = {
    "OptionalGetElement": "optionalgetelement",
    "OptionalHasElement": "optionalhaselement",
    "SequenceInsert": "sequenceinsert",
    "SequenceMap": "sequence_map",
    "SplitToSequence": "splittosequence",
}


@pytest.mark.parametrize("operator", NODES)
def test_cases_of_onnx(operator: str) -> None:
    known: list[Case] = cases(NODES[operator], operator)
    assert known and operator in SPELLINGS
    for case in known:
        made = SAID[operator](*case.inputs, **case.attributes)
        _same(case.name, list(made) if isinstance(made, tuple) else [made], case.outputs)


@functools.cache
def _models() -> dict[str, Any]:
    return {
        one.name: one for one in collected.collect_testcases() if one.name.startswith("test_sequence_model")
    }


@pytest.mark.parametrize("number", range(1, 9))
def test_models_of_onnx(number: int) -> None:
    case = _models()[f"test_sequence_model{number}"]
    ((inputs, outputs),) = case.data_sets
    values = dict(zip([one.name for one in case.model.graph.input], inputs))
    values = {name: np.asarray(value) for name, value in values.items()}
    _same(case.name, _interpreted(case.model.graph, values), outputs)


def test_the_models_use_every_operator_on_sequences() -> None:
    used = {node.op_type for case in _models().values() for node in case.model.graph.node} | set(NODES)
    said = {name for name in SPELLINGS if "Sequence" in name and name != "ReverseSequence"}
    assert said <= used


# Positions


def _listed(count: int) -> tuple[list[gf.Tensor], list[np.ndarray]]:
    return [gf.constant(row) for row in ROWS[:count]], list(ROWS[:count])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_known_positions_are_those_of_python(count: int) -> None:
    tensors, rows = _listed(count)
    new = np.float32([7, 8, 9])
    for place in range(-count, count + 1):
        for said in (place, np.int8(place), np.array([place]), gf.constant(place), gf.constant([place]) * 1):
            after = [*rows]
            after.insert(place, new)
            np.testing.assert_array_equal(evaluate(gf.sequence.insert(tensors, new, said)), after)
            if place < count:
                assert gf.sequence.at(tensors, said) is tensors[place]
                left = [*tensors]
                del left[place]
                assert gf.sequence.erase(tensors, said) == left
    assert gf.sequence.erase(tensors) == tensors[:-1] and len(tensors) == count


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "uint64"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_positions_that_a_run_knows(dtype: str, count: int) -> None:
    tensors, rows = _listed(count)
    i = gf.placeholder("i", (), dtype)
    new = np.float32([7, 8, 9])
    made = [gf.sequence.at(tensors, i), gf.sequence.insert(tensors, new, i), gf.sequence.erase(tensors, i)]
    limits = np.iinfo(dtype)
    for fed in sorted(
        {max(place, limits.min) for place in range(-count - 2, count + 3)} | {limits.min, limits.max}
    ):
        place = min(max(fed, -count), count)
        inserted, erased = [*rows], [*rows]
        inserted.insert(place, new)
        del erased[min(place, count - 1)]
        feeds = {i: np.array(fed, dtype)}
        np.testing.assert_array_equal(evaluate(made[:1], feeds)[0], rows[min(place, count - 1)])
        np.testing.assert_array_equal(evaluate(made[1], feeds), inserted)
        np.testing.assert_array_equal(
            evaluate(made[2], feeds), np.reshape(erased, (count - 1, 3)) if count > 1 else []
        )


def test_a_position_that_a_run_knows_has_a_gradient_and_runs_on_jax() -> None:
    x, y = gf.placeholder("x", ("n",)), gf.placeholder("y", ("m",))
    i = gf.placeholder("i", (1,), gf.int32)
    chosen = gf.sequence.at([x, y], i + 1)
    slopes = gf.gradients(gf.sum(chosen * chosen), [x, y])
    feeds = {x: [1.0, 2.0], y: [3.0, 4.0], i: [-1]}
    made = gf.Session().run([chosen, *slopes, *gf.sequence.erase([x, y], i)], feeds)
    np.testing.assert_array_equal(made, [[1, 2], [2, 4], [0, 0], [1, 2]])


def test_a_size_is_a_position() -> None:
    x = gf.placeholder("x", ("n",))
    tensors, rows = _listed(4)
    chosen = gf.sequence.at(tensors, gf.shape_of(x)[0])
    np.testing.assert_array_equal(gf.Session(backend="numpy").run(chosen, {x: [1.0, 2.0]}), rows[2])


def test_lists_are_nests_of_control_flow() -> None:
    x, p = gf.placeholder("x", (3,)), gf.placeholder("p", (), gf.bool)
    longer = gf.cond(p, lambda: gf.sequence.construct(x, x * 2), lambda: gf.sequence.insert([x], x * 3, 0))
    made = gf.Session(backend="numpy").run(longer, {x: ROWS[1], p: False})
    np.testing.assert_array_equal(made, [ROWS[1] * 3, ROWS[1]])


# The others


def test_lengths_and_presence_are_known_while_building() -> None:
    assert gf.zeros(gf.sequence.length([1.0, 2.0])).shape == (2,)
    assert gf.sequence.length([]).type == gf.TensorType(gf.int64, ())
    assert gf.sequence.length(gf.sequence.empty(gf.int32)).known_value() == 0
    assert [gf.sequence.has_element(one).known_value() for one in (None, gf.zeros(1), [])] == [
        False,
        True,
        True,
    ]
    x = gf.zeros(3)
    assert gf.sequence.get_element(gf.sequence.optional(x)) is x
    assert gf.sequence.get_element(gf.sequence.optional([x])) == [x]
    assert gf.sequence.optional() is None


@pytest.mark.parametrize("sizes", [None, 1, 2, 5, 9, [1, 4], (0, 5), np.array([2, 3]), np.int32(3)])
def test_split_and_concat_are_inverse(sizes: Any) -> None:
    x = gf.constant(np.arange(10).reshape(2, 5))
    for given in (sizes, sizes if sizes is None else gf.constant(np.asarray(sizes))):
        pieces = gf.sequence.split(x, given, axis=-1)
        np.testing.assert_array_equal(evaluate([gf.concat(pieces, axis=1)])[0], np.arange(10).reshape(2, 5))
        if np.ndim(sizes) == 0:
            wanted = sizes or 1
            assert [piece.shape[1] for piece in pieces] == [
                len(range(5)[at : at + wanted]) for at in range(0, 5, wanted)
            ]
    assert gf.sequence.split(gf.zeros((0, 2))) == []
    assert gf.sequence.split(gf.zeros((1, 2)), keepdims=False)[0].shape == (2,)


def test_map_keeps_what_the_function_returns() -> None:
    xs = [gf.constant([1.0]), gf.constant([1.0, 2.0])]
    assert gf.sequence.map(lambda x: (x,), xs)[0][1].shape == (2,)
    sums, more = gf.sequence.map(lambda x, y, z: (gf.sum(x) + z, x * y), xs, [2.0, 3.0], 10.0)
    np.testing.assert_array_equal(evaluate(sums), [11, 13])
    np.testing.assert_array_equal(evaluate(more[1:])[0], [3, 6])
    assert gf.sequence.map(lambda x: x, []) == []


def test_refusals() -> None:
    xs = [gf.zeros(2), gf.zeros(3)]
    i = gf.placeholder("i", (), gf.int32)
    sequence = gf.sequence
    for act in (sequence.at, sequence.erase):
        for place in (2, -3, 2**70):
            with refused(gf.AttributeValueError, f"position {place}", "from -2 to 1"):
                act(xs, place)
        with refused(gf.AttributeValueError, "without elements"):
            act([], 0)
        with refused(gf.ShapeError, "known only when the graph runs", "float32[3]"):
            act(xs, i)
    with refused(gf.AttributeValueError, "position 3", "from -2 to 2"):
        sequence.insert(xs, gf.zeros(1), 3)
    with refused(gf.ShapeError, "known only when the graph runs"):
        sequence.insert([gf.zeros(2)], gf.zeros((2, 2)), i)
    with refused(gf.DTypeError, "one dtype"):
        sequence.insert(xs, gf.zeros(2, gf.int32))
    with refused(gf.DTypeError, "element 1 is int32[]"):
        sequence.construct(1.5, gf.constant(1))
    for wrong in (
        gf.placeholder("f", ()),
        gf.placeholder("j", (2,), gf.int32),
        gf.placeholder("b", (), gf.bool),
    ):
        with refused(gf.DTypeError, "one integer"):
            sequence.at(xs[:1], wrong)
    for wrong in (0.0, True, "0", None, gf.constant(True), gf.constant([0, 0])):
        with refused(gf.AttributeValueError, "whole number"):
            sequence.at(xs, wrong)
    for act in (sequence.length, sequence.at, sequence.map, sequence.insert):
        with refused(gf.AttributeValueError, "list"):
            act(*[gf.zeros(3)] * 2) if act is not sequence.length else act(gf.zeros(3))
    with refused(gf.AttributeValueError, "absent"):
        sequence.get_element(None)
    with refused(gf.AttributeValueError, "list 1"):
        sequence.map(gf.add, xs, [gf.zeros(2)])
    with refused(gf.AttributeValueError, "results"):
        sequence.map(lambda x: (x,) * x.shape[0], xs)
    with refused(gf.AttributeValueError, "None"):
        sequence.map(lambda x: None, xs)
    with refused(gf.ShapeError, "how many pieces"):
        sequence.split(gf.placeholder("x", ("n",)), 2)
    with refused(gf.AttributeValueError, "pieces"):
        sequence.split(gf.placeholder("y", (2**40,)))
    for sizes in (0, -1, 1.5):
        with refused(gf.AttributeValueError, "whole number of at least 1"):
            sequence.split(gf.zeros(4), sizes)
