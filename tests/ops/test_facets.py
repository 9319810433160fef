"""Every operator, on every sample of it: its facets say the same thing."""

from __future__ import annotations

import doctest
import inspect
from typing import Any

import jax
import numpy as np
import pytest

import graphflow as gf
from graphflow.autodiff.reverse import gradients
from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import as_dtype
from graphflow.ir.interpret import evaluate
from graphflow.ir.narrow import widened
from graphflow.ir.opdef import registry
from graphflow.ir.parse import parse_graph
from graphflow.ir.text import print_graph
from graphflow.ir.types import TensorType
from graphflow.runtime.jax import lower  # noqa: F401 (fills the table)
from graphflow.runtime.jax.lowering import LOWERINGS, NO_LOWERING
from tests.ops.facets import Call, call, cotangents, differentiable, directions, slope
from tests.samples import all_samples

SAMPLES = all_samples()
NAMES = sorted(SAMPLES)
LOWERED = [name for name in NAMES if name not in NO_LOWERING]
DIFFERENTIABLE = [name for name in NAMES if differentiable(registry[name])]

NO_SAMPLES = {
    "placeholder": "it has no value of its own",
    "variable": "it has no value of its own",
    "training_flag": "it has no value of its own",
    "session_key": "it has no value of its own",
    "assign": "it has no outputs",
}
NO_EXAMPLE = {"placeholder", "variable", "constant", "assign", "training_flag", "session_key", "dimension"}
"""Their public functions, which have examples, stand in `declare.py`."""

IN_FORMULAS = {"elementwise", "comparison", "activation", "reduction", "normalization"}
"""Families whose operators are defined by an equation; others move elements, which words tell better."""


def _calls(name: str) -> list[Call]:
    return [call(name, sample) for sample in SAMPLES[name]]


def _smooth_calls(name: str) -> list[Call]:
    """The calls where the operator is differentiable, in float64, less those that make narrower floats."""
    made = [call(name, sample, in_float64=True) for sample in SAMPLES[name] if sample.gradient]
    narrow = (np.float16, np.float32)
    return [one for one in made if not any(array.dtype in narrow for array in one.arrays)]


def _same(result: np.ndarray, expected: np.ndarray, where: str, rtol: float, atol: float) -> None:
    assert result.dtype == expected.dtype, f"{where}: dtype {result.dtype} is not {expected.dtype}"
    assert result.shape == expected.shape, f"{where}: shape {result.shape} is not {expected.shape}"
    if as_dtype(expected.dtype).is_narrow:
        result, expected = (widened(one, as_dtype(one.dtype)) for one in (result, expected))
    if as_dtype(expected.dtype).is_differentiable:
        wide = np.complex128 if expected.dtype.kind == "c" else np.float64
        pair = result.astype(wide), expected.astype(wide)
        np.testing.assert_allclose(*pair, rtol=rtol, atol=atol, err_msg=where)
    else:
        np.testing.assert_array_equal(result, expected, err_msg=where)


def _where(name: str, index: int, one: Call) -> str:
    read = ", ".join(f"{array.dtype}{list(array.shape)}" for array in one.arrays)
    return f"sample {index} of {name}({read}; {dict(one.node.attrs)})"


# Coverage


def test_every_operator_has_samples() -> None:
    missing = [op.name for op in registry if op.name not in SAMPLES and op.name not in NO_SAMPLES]
    assert missing == []
    assert sorted(set(SAMPLES) - {op.name for op in registry}) == []


@pytest.mark.parametrize("name", [op.name for op in registry])
def test_documentation(name: str) -> None:
    op = registry[name]
    text = op.__doc__ or ""
    assert len(text.splitlines()[0]) > 10 and text.split("\n")[0].endswith((".", ":")), text
    if op.family in IN_FORMULAS:
        assert " = " in text.partition(">>>")[0], f"{name} has no equation"
    if name in NO_EXAMPLE:
        return
    examples = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    assert examples.examples, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert runner.run(examples).failed == 0


@pytest.mark.parametrize("name", [op.name for op in registry])
def test_the_inputs_and_attributes_of_the_reference_are_plain(name: str) -> None:
    """The schema is the signature, so it must leave no doubt which parameter is which."""
    for parameter in inspect.signature(registry[name].reference).parameters.values():
        assert parameter.kind is not parameter.VAR_KEYWORD
        if parameter.kind is parameter.POSITIONAL_ONLY:
            assert parameter.default is parameter.empty, f"input {parameter.name} of {name} has a default"


# Inference


@pytest.mark.parametrize("name", NAMES)
def test_inference_foretells_the_reference(name: str) -> None:
    for index, one in enumerate(_calls(name)):
        before = [array.copy() for array in one.arrays]
        made = [TensorType(as_dtype(value.dtype), value.shape) for value in one.outputs()]
        assert made == [tensor.type for tensor in one.node.outputs], _where(name, index, one)
        for array, copy in zip(one.arrays, before):
            _same(array, copy, f"{name} changed its input", 0, 0)


def _symbolic(one: Call) -> tuple[list[TensorType], dict[str, int]]:
    """The input types with a symbol for each size of 2 and more, and the values of the symbols."""
    sizes = sorted({size for array in one.arrays for size in array.shape if size > 1})
    symbols = {size: Dim(f"n{size}") for size in sizes}
    types = [
        TensorType(tensor.dtype, tuple(symbols.get(size, size) for size in array.shape))
        for tensor, array in zip(one.node.inputs, one.arrays)
    ]
    return types, {f"n{size}": size for size in sizes}


@pytest.mark.parametrize("name", NAMES)
def test_inference_with_symbols_agrees_with_static_inference(name: str) -> None:
    op = registry[name]
    for index, one in enumerate(_calls(name)):
        types, values = _symbolic(one)
        try:
            made = op.infer(types, one.node.attrs)
        except gf.GraphFlowError as error:
            assert name in NEEDS_STATIC, f"{_where(name, index, one)} with {types}: {error}"
            continue
        finally:
            dims.take_assumptions()
        assert [kind.substitute(values) for kind in made] == [t.type for t in one.node.outputs], _where(
            name, index, one
        )


NEEDS_STATIC: dict[str, str] = {
    "gather_nd": "the rank of the result depends on the size of the last axis of the indices",
    "scatter_nd": "the rank of the updates depends on the size of the last axis of the indices",
    "scatter_nd_add": "the rank of the updates depends on the size of the last axis of the indices",
}
"""Operators that refuse symbolic sizes, with the reason."""


# The JAX lowering


def _run_jax(functions: list[Any], arguments: list[Any]) -> list[Any]:
    """All calls of one operator as one compiled program, which compiles faster than many."""
    with jax.enable_x64(True):
        results = jax.jit(lambda all: [function(*each) for function, each in zip(functions, all)])(arguments)
        return jax.tree.map(np.asarray, results)


def _lowered(one: Call) -> Any:
    function = LOWERINGS[one.node.op.name]

    def run(*arrays: Any) -> tuple[Any, ...]:
        made = function(*arrays, **one.node.attrs)
        return tuple(made) if isinstance(made, (tuple, list)) else (made,)

    return run


@pytest.mark.parametrize("name", LOWERED)
def test_jax_agrees_with_the_reference(name: str) -> None:
    calls = _calls(name)
    results = _run_jax([_lowered(one) for one in calls], [one.arrays for one in calls])
    for index, (one, made) in enumerate(zip(calls, results, strict=True)):
        for result, expected in zip(made, one.outputs(), strict=True):
            _same(result, expected, _where(name, index, one), one.sample.rtol, one.sample.atol)


# Gradients


@pytest.mark.parametrize("name", NAMES)
def test_gradient_matches_differences(name: str) -> None:
    """<dy/dx u, v> = <u, vjp(v)> for random u, v; an operator that claims slope 0 has slope 0."""
    op = registry[name]
    if not differentiable(op) and (not op.vjp.zero or name == "stop_gradient"):
        assert op.vjp.reason
        return
    for index, one in enumerate(_smooth_calls(name)):
        steps, weights = directions(one.arrays, 1), directions(one.outputs(), 2)
        if not any(step is not None for step in steps) or not any(w is not None for w in weights):
            continue
        found = 0.0
        if differentiable(op):
            pairs = zip(cotangents(one, weights), steps)
            found = sum(float(np.sum(c * s)) for c, s in pairs if c is not None and s is not None)
        expected = slope(one, steps, weights)
        assert found == pytest.approx(expected, rel=2e-6, abs=2e-6), _where(name, index, one)


def _jax_vjp(one: Call, weights: list[np.ndarray | None]) -> Any:
    """A function of the floating inputs that gives their cotangents by differentiating the lowering."""
    places = [index for index, array in enumerate(one.arrays) if array.dtype.kind == "f"]
    lowered = _lowered(one)

    def scalar(*floating: Any) -> Any:
        arrays = list(one.arrays)
        for place, value in zip(places, floating):
            arrays[place] = value
        return sum(jax.numpy.sum(y * w) for y, w in zip(lowered(*arrays), weights) if w is not None)

    return jax.grad(scalar, argnums=tuple(range(len(places))))


WITHOUT_JAX_GRADIENT = {
    ("after", "", None): "its lowering goes by the bits, which have no slope",
    ("scatter_nd", "reduction", "mul"): "JAX has it for indices that are unique alone",
    ("while_loop", "carries", 1): "JAX has it for no while loop; test_control.py compares with scans",
}
"""Operators, with the value of an attribute, that JAX cannot differentiate, with the reason."""


def _jax_differentiates(one: Call) -> bool:
    return not any(
        one.node.op.name == name and one.node.attrs.get(attribute) == value
        for name, attribute, value in WITHOUT_JAX_GRADIENT
    )


@pytest.mark.parametrize("name", [name for name in DIFFERENTIABLE if name in LOWERED])
def test_gradient_matches_that_of_the_jax_lowering(name: str) -> None:
    calls, functions, arguments, expected = [], [], [], []
    for one in filter(_jax_differentiates, _smooth_calls(name)):
        weights = directions(one.outputs(), 3)
        floating = [array for array in one.arrays if array.dtype.kind == "f"]
        if floating and any(weight is not None for weight in weights):
            calls.append(one)
            functions.append(_jax_vjp(one, weights))
            arguments.append(floating)
            made = zip(cotangents(one, weights), one.arrays)
            expected.append([c for c, array in made if array.dtype.kind == "f"])
    for index, (one, made) in enumerate(zip(calls, _run_jax(functions, arguments), strict=True)):
        for result, ours in zip(made, expected[index], strict=True):
            ours = np.zeros_like(result) if ours is None else ours
            _same(ours, result, _where(name, index, one), 1e-7, 1e-9)


def _second(one: Call, steps: list[np.ndarray], weights: list[np.ndarray]) -> list[np.ndarray]:
    """The derivative, by the floating inputs, of the slope of <weights, outputs> along the steps."""
    node = one.node
    places = [index for index, array in enumerate(one.arrays) if array.dtype.kind == "f"]
    xs = [node.inputs[index] for index in places]
    b = Builder(node.graph)
    kept = [(y, w) for y, w in zip(node.outputs, weights) if w is not None]
    first = gradients([y for y, _ in kept], xs, [b.constant(value=w) for _, w in kept])
    slopes = [b.sum(b.multiply(g, steps[place])) for g, place in zip(first, places)]
    return evaluate(gradients(slopes, xs), dict(zip(node.inputs, one.arrays)))


def _jax_second(one: Call, steps: list[np.ndarray], weights: list[np.ndarray]) -> Any:
    first = _jax_vjp(one, weights)
    kept = [step for step in steps if step is not None]

    def along(*floating: Any) -> Any:
        return sum(jax.numpy.sum(g * step) for g, step in zip(first(*floating), kept))

    return jax.grad(along, argnums=tuple(range(len(kept))))


@pytest.mark.parametrize("name", [name for name in DIFFERENTIABLE if name in LOWERED])
def test_second_derivative_matches_that_of_the_jax_lowering(name: str) -> None:
    """Gradients are made of operators that have gradients themselves."""
    sizable = [
        one for one in _smooth_calls(name)
        if all(array.size for array in one.arrays) and _jax_differentiates(one)
    ]  # fmt: skip
    for index, one in enumerate(sizable[:2]):
        steps, weights = directions(one.arrays, 4), directions(one.outputs(), 5)
        floating = [array for array in one.arrays if array.dtype.kind == "f"]
        if not floating or not any(weight is not None for weight in weights):
            continue
        (expected,) = _run_jax([_jax_second(one, steps, weights)], [floating])
        for ours, result in zip(_second(one, steps, weights), expected, strict=True):
            _same(ours, result, _where(name, index, one), 1e-7, 1e-9)


# Decomposition and text


@pytest.mark.parametrize("name", [name for name in NAMES if registry[name].decompose])
def test_decomposition_agrees_with_the_reference(name: str) -> None:
    op = registry[name]
    for index, one in enumerate(_calls(name)):
        if not one.sample.gradient:
            continue
        made = op.decompose(Builder(one.node.graph), one.node)
        assert [tensor.type for tensor in made] == [tensor.type for tensor in one.node.outputs]
        assert all(tensor.node.op is not op for tensor in made)
        results = evaluate(made, dict(zip(one.node.inputs, one.arrays)))
        for result, expected in zip(results, one.outputs()):
            _same(result, expected, _where(name, index, one), max(one.sample.rtol, 1e-6), 1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_text_form_is_inverse(name: str) -> None:
    for index, one in enumerate(_calls(name)):
        arrays: dict = {}
        text = print_graph(one.node.graph, arrays)
        again = parse_graph(text, arrays)
        assert print_graph(again) == text, _where(name, index, one)
        twin = next(node for node in again.nodes if node.name == one.node.name)
        assert twin.op is one.node.op and twin.attrs == one.node.attrs
        assert [t.type for t in twin.outputs] == [t.type for t in one.node.outputs]
