"""Every operator, batched by its rule or as a loop, gives for a batch the stack of what it gives for one."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from graphflow.ir.builder import Builder
from graphflow.ir.dims import Dim
from graphflow.ir.graph import Graph
from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import registry
from graphflow.ops.declare import placeholder
from graphflow.vectorize.fallback import VmapWarning
from graphflow.vectorize.rule import RULES, has_rule
from graphflow.vectorize.vmap import vmap
from tests.ops.symbolic import run
from tests.samples import Sample, all_samples

EXAMPLES = 3

NOT_MAPPED = {"assign": "it changes a variable, which no function that is traced may do"}

LOOPED = {
    "argwhere": "how many elements it finds differs from example to example",
    "unique_all": "how many elements it finds differs from example to example",
    "slice_ranks": "each slice is compared with all those of its example",
    "string_normalizer": "it takes the texts of one example only",
    "non_max_suppression": "each box that is kept decides about the next",
    "max_unpool": "its indices count through the whole tensor",
    "max_unpool_gradient": "its indices count through the whole tensor",
    "random_gamma": "it draws again until the last number fits",
    "random_poisson": "it draws again until the last number fits",
    "random_binomial": "it draws again until the last number fits",
    "random_key": "the key of a session is the same for all examples",
    "decode_image": "each file is read by itself",
}
"""Operators that have no rule, and why."""

SOMETIMES_LOOPED = {
    "searchsorted": "the vectors that are searched differ",
}
"""Operators whose rule falls back on a loop in the case named, which is tested here."""

SAMPLES = {
    name: [one for one in samples if one.inputs]
    for name, samples in all_samples().items()
    if name not in NOT_MAPPED and any(one.inputs for one in samples)
}


INTACT = {"decode_image": "a file whose bytes have moved is no file"}
"""Operators of which all examples are the same."""


def _examples(name: str, array: np.ndarray) -> np.ndarray:
    """Three arrays like one: floats shrunk, so that they stay where they may lie; others turned round."""
    if name in INTACT:
        return np.stack([array] * EXAMPLES)
    if array.dtype.kind in "fc" or array.dtype.name == "bfloat16":
        with np.errstate(all="ignore"):
            parts = [array, array * array.dtype.type(0.75), array * array.dtype.type(0.5)]
    else:
        parts = [np.roll(array, shift) for shift in range(EXAMPLES)]
    return np.stack([np.asarray(part, array.dtype) for part in parts])


def _listed(made: Any) -> tuple[Tensor, ...]:
    return made if isinstance(made, tuple) else () if made is None else (made,)


def _subsets(count: int) -> list[tuple[bool, ...]]:
    """Which inputs are batched: each alone where there are few, the first alone, all of them."""
    alone = [tuple(place == one for place in range(count)) for one in range(count if count <= 3 else 1)]
    return list(dict.fromkeys([*alone, (True,) * count]))


def _tolerance(array: np.ndarray) -> dict[str, float]:
    digits = {"float64": 1e-12, "complex128": 1e-12, "float32": 2e-5, "complex64": 2e-5}
    step = digits.get(array.dtype.name, 2e-2)
    return {"rtol": step, "atol": step}


def _check(name: str, sample: Sample, flags: Sequence[bool], size: Any = EXAMPLES) -> None:
    stacks = [_examples(name, array) if flag else array for array, flag in zip(sample.inputs, flags)]
    with Graph() as graph:
        singles = [placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(sample.inputs)]
        stacked = [
            placeholder(f"y{i}", (size, *a.shape) if flag else a.shape, a.dtype)
            for i, (a, flag) in enumerate(zip(sample.inputs, flags))
        ]

        def one(*xs: Tensor) -> tuple[Tensor, ...]:
            return _listed(
                Builder(graph if xs[0].graph is graph else xs[0].graph).apply(
                    registry[name], list(xs), dict(sample.attrs)
                )
            )

        expected = one(*singles)
        made = vmap(one, in_axes=tuple(0 if flag else None for flag in flags))(*stacked)
    assert len(made) == len(expected)
    found = run(made, dict(zip(stacked, stacks)), n=EXAMPLES)
    rows = [
        evaluate(expected, {
            tensor: stack[number] if flag else stack for tensor, stack, flag in zip(singles, stacks, flags)
        })
        for number in range(EXAMPLES)
    ]  # fmt: skip
    for tensor, result, column in zip(made, found, zip(*rows)):
        wanted = np.stack(column)
        assert (result.dtype, result.shape) == (wanted.dtype, wanted.shape)
        assert tensor.dtype.numpy == result.dtype and len(tensor.shape) == result.ndim
        _compare(result, wanted)


def _compare(result: np.ndarray, wanted: np.ndarray) -> None:
    if wanted.dtype.kind in "fc":
        np.testing.assert_allclose(result, wanted, **_tolerance(wanted))
    elif wanted.dtype.name == "bfloat16" or "float" in wanted.dtype.name:
        np.testing.assert_allclose(result.astype(np.float32), wanted.astype(np.float32), rtol=2e-2, atol=2e-2)
    else:
        np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_batch_is_the_stack_of_single_results(name: str) -> None:
    looped = False
    for sample in SAMPLES[name]:
        for flags in _subsets(len(sample.inputs)):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                _check(name, sample, flags)
            own = [str(one.message) for one in caught if one.category is VmapWarning]
            looped = looped or bool(own)
            assert all(text.startswith(name) for text in own)
    assert looped == (name in LOOPED or name in SOMETIMES_LOOPED), own


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_number_of_examples_may_be_symbolic(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if name in {*LOOPED, *SOMETIMES_LOOPED} else "error", VmapWarning)
        for sample in SAMPLES[name][:12]:
            _check(name, sample, (True,) * len(sample.inputs), Dim("n"))


def test_operators_without_a_rule_are_listed_with_a_reason() -> None:
    without = {op.name for op in registry if not has_rule(op) and op.arity != 0}
    assert without - {"dimension", "iota", "constant", "placeholder", "variable"} == {*LOOPED, *NOT_MAPPED}
    assert set(RULES) <= {op.name for op in registry}
