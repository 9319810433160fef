"""Random programs: a list of instructions, drawn by hypothesis, that either language can run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from hypothesis import strategies as st

from tests.properties import flow  # noqa: F401 (it adds control flow to the table)
from tests.properties.languages import Jax
from tests.properties.operators import TABLE, Draw, Operator, Slot

DTYPES = ("float64", "float32", "int32", "int64", "bool")
DEPTH = 30
BATCHES = (2, 3, 5)
JAX = Jax()


@dataclass(frozen=True)
class Instruction:
    """One step: an operator, the numbers of the values it reads, and its other arguments."""

    operator: Operator
    operands: tuple[int, ...]
    params: dict[str, Any]

    def __repr__(self) -> str:
        params = "".join(f", {name}={value}" for name, value in self.params.items())
        return f"{self.operator.name}({', '.join(f'v{number}' for number in self.operands)}{params})"


@dataclass(frozen=True)
class Program:
    """Inputs, instructions, and the type of each value.

    Attributes:
        arrays: the inputs.
        batch: the size that graphs take to be symbolic, as the first axis of inputs; 0 if none is.
        steps: the instructions; value i is input i, then the result of step i - len(arrays).
        slots: the types of all values.
    """

    arrays: tuple[np.ndarray, ...]
    batch: int
    steps: tuple[Instruction, ...]
    slots: tuple[Slot, ...]

    def __repr__(self) -> str:
        lines = [f"v{i} = input {slot}" for i, slot in enumerate(self.slots[: len(self.arrays)])]
        lines += [f"v{i} = {step}" for i, step in enumerate(self.steps, len(self.arrays))]
        return "\n".join([f"batch {self.batch}", *lines])

    @property
    def leaves(self) -> list[int]:
        """The inputs with gradients."""
        return [i for i, array in enumerate(self.arrays) if array.dtype.kind == "f"]

    @property
    def exact(self) -> bool:
        """Whether every float has 64 bits."""
        return all(slot.dtype != np.float32 for slot in self.slots)

    def results(self) -> list[int]:
        """The values that no step reads."""
        read = {number for step in self.steps for number in step.operands}
        return [number for number in range(len(self.slots)) if number not in read]

    def run(self, language: Any, inputs: Sequence[Any]) -> list[Any]:
        """All values, in a language."""
        values = list(inputs)
        for step in self.steps:
            operands = [values[number] for number in step.operands]
            values.append(step.operator.compute(language, *operands, **step.params))
        return values

    def head(self, language: Any, values: Sequence[Any]) -> Any:
        """A float64 scalar that depends on every result."""
        total = language.asarray(0.25, dtype=np.float64)
        for number in self.results():
            kept = language.astype(values[number], np.float64)
            total = total + language.sum(kept if self.slots[number].kind != "f" else language.sin(kept))
        return total


DEPTHS = (1, 4, 8, 12, 16, 20, 25, DEPTH)


def programs(smooth: bool = False, depths: Sequence[int] = DEPTHS) -> st.SearchStrategy[Program]:
    """Programs of so many instructions, twice differentiable ones if `smooth`.

    A seed makes all choices, one instruction after the other, so that fewer instructions are the start of
    the same program: that is how failures shrink.
    """
    return st.builds(random_program, st.integers(0, 2**32), st.sampled_from(depths), st.just(smooth))


def random_program(seed: int, depth: int, smooth: bool = False) -> Program:
    """The program of that seed."""
    draw = Draw(seed)
    batch = draw.one((0, 0, *BATCHES))
    slots = [Slot(np.dtype("float64"), _shape(draw, batch))]
    for _ in range(draw.number(0, 3)):
        slots.append(Slot(np.dtype(draw.one(("float64",) if smooth else DTYPES)), _shape(draw, batch)))
    arrays = tuple([_values(draw.rng, slot) for slot in slots])
    table = [one for one in TABLE.values() if (one.smooth or not smooth) and not (one.static and batch)]
    steps: list[Instruction] = []
    while len(steps) < depth:
        step = _instruction(draw, draw.one(table), slots, bool(batch))
        made = step and _result(step, slots)
        if made and np.prod(made.shape) <= 400 and len(made.shape) <= 4:
            steps.append(step)
            slots.append(made)
    return Program(arrays, batch, tuple(steps), tuple(slots))


def _shape(draw: Draw, batch: int) -> tuple[int, ...]:
    sizes = tuple([draw.one((2, 3, 4, 2, 3, 4, 1, 1, 0)) for _ in range(draw.number(0, 2))])
    return (batch, *sizes) if batch and draw.chance(0.7) else sizes


def _values(rng: np.random.Generator, slot: Slot) -> np.ndarray:
    if slot.kind == "f":
        return rng.normal(size=slot.shape).astype(slot.dtype)
    low, high = (0, 2) if slot.kind == "b" else (-9, 10)
    return rng.integers(low, high, slot.shape).astype(slot.dtype)


def _instruction(draw: Draw, chosen: Operator, slots: list[Slot], symbolic: bool) -> Instruction | None:
    """A step that reads recent values rather than old ones; None where no value fits."""
    numbers: list[int] = []
    found: list[Slot] = []
    for fits in chosen.fits:
        able = [number for number, slot in enumerate(slots) if fits(*found, slot)]
        if not able:
            return None
        numbers.append(able[-1] if not numbers and draw.chance(0.7) else draw.one(able))
        found.append(slots[numbers[-1]])
    return Instruction(chosen, tuple(numbers), chosen.params(draw, found, symbolic))


def _result(step: Instruction, slots: list[Slot]) -> Slot:
    """The type of a step's value, as JAX infers it."""
    operands = [jax.ShapeDtypeStruct(slots[number].shape, slots[number].dtype) for number in step.operands]
    with jax.enable_x64(True):
        made = jax.eval_shape(lambda *xs: step.operator.compute(JAX, *xs, **step.params), *operands)
    return Slot(np.dtype(made.dtype), made.shape)
