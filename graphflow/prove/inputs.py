"""Inputs made up from the types of placeholders: of sizes within their bounds, the same for the same seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphflow.errors import FeedError, GraphFlowError
from graphflow.ir import dims
from graphflow.ir.fed_sizes import can_be_sizes
from graphflow.ir.node import Tensor
from graphflow.prove.subject import Case, Subject

SPECIAL = (0.0, -0.0, 1.0, -1.0, 1e-30, -1e-38, 88.0, -120.0, 1e30, np.inf, -np.inf, np.nan)
"""Elements at which rules go wrong."""

_SIZES = (3, 4, 2, 5, 1, 6, 8, 7)
_ATTEMPTS = 64
_WORDS = ("", "a", "Zebra", "ß", "two words")


def generate(what: Any, seed: int = 0, special: bool = False) -> dict[str, np.ndarray]:
    """Arrays for the inputs of a model, graph or tensors, drawn from their types.

    Floats are normal, integers 0 or 1 (so that they are good indices), and symbolic sizes small ones
    within their bounds.

    Arguments:
        what: a gf.Model, a graph with outputs, or tensors.
        seed: what the numbers depend on.
        special: put NaN, infinities, zeros of both signs, and tiny and huge numbers among the floats.

    Raises:
        FeedError: if no sizes are found that go together.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 2))
    >>> generate(gf.exp(x))["x"].shape
    (3, 2)
    """
    subject = what if isinstance(what, Subject) else Subject(what)
    rng = np.random.default_rng(seed)
    symbols = {
        name: symbol
        for tensor in subject.feeds
        for size in tensor.shape
        for name, symbol in dims.symbols(size).items()
    }
    failure: GraphFlowError | None = None
    for attempt in range(_ATTEMPTS):
        sizes = {name: _size(symbol, attempt, rng) for name, symbol in sorted(symbols.items())}
        try:
            made = {name: drawn(tensor, sizes, rng, special) for name, tensor in subject.inputs.items()}
            subject.case("generated", made)
            return made
        except GraphFlowError as error:
            failure = error
    said = failure.message if failure else "no sizes fit"
    raise FeedError(
        f"no inputs could be made up: {said}", hint="give inputs: inputs={...}, or --inputs FILE.npz"
    )


def generated_case(subject: Subject, seed: int, special: bool) -> Case:
    """The inputs of a seed as a Case."""
    label = f"{'special' if special else 'normal'} values, seed {seed}"
    return subject.case(label, generate(subject, seed, special), special)


def _size(symbol: Any, attempt: int, rng: np.random.Generator) -> int:
    """All the same at first, which suits most constraints; then any."""
    size = _SIZES[attempt] if attempt < len(_SIZES) else int(rng.integers(1, 9))
    return max(symbol.min, size) if symbol.max is None else min(max(symbol.min, size), symbol.max)


def drawn(
    tensor: Tensor, sizes: Mapping[str, int], rng: np.random.Generator, special: bool = False
) -> np.ndarray:
    """An array of a tensor's type, for given values of its symbolic sizes."""
    shape = tuple([int(dims.substitute(size, sizes)) for size in tensor.shape])
    dtype = tensor.dtype
    if dtype.kind == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind == "string":
        return rng.choice(np.array(_WORDS, np.str_), shape).astype(dtype.numpy)
    if dtype.kind == "complex":
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype.numpy)
    if not dtype.kind.endswith("float"):
        low = 1 if can_be_sizes(tensor) else 0
        return rng.integers(low, low + 2, shape).astype(dtype.numpy)
    values = rng.normal(size=shape)
    if special:
        values = np.where(rng.random(shape) < 0.5, rng.choice(SPECIAL, shape), values)
    with np.errstate(all="ignore"):
        return np.asarray(values).astype(dtype.numpy)
