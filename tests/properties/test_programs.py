"""Random programs: backends and levels agree, gradients are those of JAX, and graphs survive their text.

The programs have up to 30 instructions over tensors of mixed dtypes and sizes 0 to 5, symbolic batches
and control flow among them. Each is said twice, as a graph and as a function of JAX arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings

import graphflow as gf
from tests.properties.languages import GraphFlow, Jax
from tests.properties.operators import TABLE
from tests.properties.programs import Program, programs, random_program

OWN, JAX = GraphFlow(), Jax()

pytestmark = pytest.mark.filterwarnings("error::graphflow.optimizer.driver.RewriteWarning")


class Built:
    """A program as a graph: its inputs, its results that are no inputs, its head and the head's gradients."""

    def __init__(self, program: Program) -> None:
        self.program = program
        with gf.Graph() as self.graph:
            self.inputs = [
                gf.placeholder(f"v{number}", self._shape(array.shape), array.dtype)
                for number, array in enumerate(program.arrays)
            ]
            values = program.run(OWN, self.inputs)
            self.results = [values[number] for number in program.results()]
            self.head = program.head(OWN, values)
            self.leaves = [self.inputs[number] for number in program.leaves]
            self.slopes = gf.gradients(self.head, self.leaves)
        self.fetches = [*self.results, self.head, *self.slopes]

    def _shape(self, shape: tuple[int, ...]) -> tuple[Any, ...]:
        return tuple("batch" if size and size == self.program.batch else size for size in shape)

    def run(
        self,
        backend: str,
        level: str,
        fetches: Sequence[gf.Tensor],
        others: Mapping[gf.Tensor, np.ndarray] = MappingProxyType({}),
    ) -> list[np.ndarray]:
        with gf.Session(self.graph, backend=backend, level=level) as session:
            return session.run(list(fetches), {**dict(zip(self.inputs, self.program.arrays)), **others})

    def assert_close(self, found: Sequence[Any], expected: Sequence[Any], what: str) -> None:
        """Equal up to rounding, with the types that the program says."""
        tolerance = 1e-8 if self.program.exact else 2e-3
        for tensor, own, other in zip(self.fetches, found, expected, strict=True):
            own, other = np.asarray(own), np.asarray(other)
            message = f"{what}: {tensor.name}\n{self.program}"
            assert own.shape == other.shape and own.dtype == other.dtype == tensor.dtype.numpy, message
            np.testing.assert_allclose(own, other, tolerance, tolerance, err_msg=message)


def split(program: Program) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The inputs with gradients, and the others."""
    parts: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for array in program.arrays:
        parts[array.dtype.kind != "f"].append(array)
    return parts


def in_jax(program: Program, leaves: Sequence[Any], others: Sequence[Any]) -> tuple[Any, list[Any]]:
    """The head, and the results, as a function of JAX arrays."""
    given, rest = iter(leaves), iter(others)
    values = program.run(JAX, [next(given if array.dtype.kind == "f" else rest) for array in program.arrays])
    return program.head(JAX, values), [values[number] for number in program.results()]


def judged(program: Program) -> list[Any]:
    """The fetches of a graph, by JAX."""

    def head(leaves: Sequence[Any], others: Sequence[Any]) -> tuple[Any, list[Any]]:
        return in_jax(program, leaves, others)

    with jax.enable_x64(True):
        (value, results), slopes = jax.jit(jax.value_and_grad(head, has_aux=True))(*split(program))
        return [np.asarray(array) for array in (*results, value, *slopes)]


@settings(max_examples=60)
@given(programs())
def test_levels_agree_and_graphs_survive_their_text(program: Program) -> None:
    built = Built(program)
    gf.verify(built.graph)
    text = gf.print_graph(built.graph)
    again = gf.parse_graph(text)
    assert gf.print_graph(again) == text
    gf.verify(again)
    plain = built.run("numpy", "O0", built.fetches)
    for level in ("O2", "O3"):
        built.assert_close(built.run("numpy", level, built.fetches), plain, f"numpy {level}")


@settings(max_examples=12)
@given(programs())
def test_values_and_gradients_are_those_of_jax(program: Program) -> None:
    built = Built(program)
    expected = judged(program)
    for backend, level in (("numpy", "O2"), ("jax", "O0"), ("jax", "O2")):
        found = built.run(backend, level, built.fetches)
        built.assert_close(found, expected, f"{backend} {level}")


@settings(max_examples=8)
@given(programs(smooth=True, depths=(1, 4, 8, 12)))
def test_second_derivatives_are_those_of_jax(program: Program) -> None:
    built = Built(program)
    rng = np.random.default_rng(len(program.steps))
    leaves, others = split(program)
    directions = [rng.normal(size=leaf.shape).astype(leaf.dtype) for leaf in leaves]
    with built.graph:
        along = [gf.placeholder(f"along_{leaf.node.name}", leaf.shape, leaf.dtype) for leaf in built.leaves]
        products = gf.hessian_vector_product(built.head, built.leaves, along)

    def slope(*given: Any) -> Any:
        return jax.grad(lambda values: in_jax(program, values, others)[0])(given)

    with jax.enable_x64(True):
        expected = jax.jit(lambda: jax.jvp(slope, tuple(leaves), tuple(directions))[1])()
    found = built.run("numpy", "O2", products, dict(zip(along, directions)))
    for tensor, own, other in zip(products, found, expected, strict=True):
        assert own.shape == other.shape
        np.testing.assert_allclose(own, other, 1e-7, 1e-7, err_msg=f"{tensor.name}\n{program}")


def test_the_programs_hold_every_operator() -> None:
    programs = [random_program(seed, 30) for seed in range(40)]
    assert {step.operator.name for program in programs for step in program.steps} == set(TABLE)
    assert all(len(program.steps) == 30 for program in programs)
    assert any(program.exact for program in programs) and not all(program.exact for program in programs)
