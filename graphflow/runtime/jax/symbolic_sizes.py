"""Symbolic sizes as jax.export has them, so that a program is lowered once for all their values."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
from jax import export

from graphflow.errors import BackendError
from graphflow.ir.attrs import Attrs
from graphflow.ir.dims import Compound, Dim, Symbol

_APPLIED: dict[str, Callable[[Any, Any], Any]] = {
    "//": operator.floordiv,
    "%": operator.mod,
    "max": jax.core.max_dim,
    "min": jax.core.min_dim,
}


_CURRENT: ContextVar[Mapping[str, Any] | None] = ContextVar("sizes", default=None)


def symbolic(symbols: Iterable[Symbol]) -> dict[str, Any]:
    """What JAX takes for sizes with these names and bounds; JAX has none of 0."""
    listed = list(symbols)
    if not listed:
        return {}
    limits = [f"{one.name} >= {one.min}" for one in listed if one.min > 1]
    limits += [f"{one.name} <= {one.max}" for one in listed if one.max is not None]
    made = export.symbolic_shape(", ".join([one.name for one in listed]), constraints=limits)
    return dict(zip([one.name for one in listed], made))


@contextmanager
def using(sizes: Mapping[str, Any]) -> Iterator[None]:
    """Let what is lowered within have these sizes for its symbols."""
    before = _CURRENT.set(sizes or None)
    try:
        yield
    finally:
        _CURRENT.reset(before)


def sized(value: Any) -> Any:
    """A size, or all sizes in tuples and attributes, in JAX's form; as it is where none are in use.

    Raises:
        BackendError: for a size that depends on values in a way that JAX does not have.
    """
    sizes = _CURRENT.get()
    return value if sizes is None else _sized(value, sizes)


def _sized(value: Any, sizes: Mapping[str, Any]) -> Any:
    if isinstance(value, Dim):
        return _size(value, sizes)
    if isinstance(value, tuple):
        return tuple([_sized(one, sizes) for one in value])
    if isinstance(value, Attrs):
        return {name: _sized(one, sizes) for name, one in value.items()}
    return value


def _size(size: Dim, sizes: Mapping[str, Any]) -> Any:
    total: Any = 0
    for monomial, factor in size.terms:
        term: Any = factor
        for atom in monomial:
            term = term * (sizes[atom.name] if isinstance(atom, Symbol) else _compound(atom, sizes))
        total = total + term
    return total


def _compound(atom: Compound, sizes: Mapping[str, Any]) -> Any:
    apply = _APPLIED.get(atom.kind)
    if apply is None:
        raise BackendError(
            f"JAX has no symbolic size such as {atom.kind}({atom.left}, {atom.right})",
            hint="give the sizes that it depends on",
        )
    return apply(_sized(atom.left, sizes), _sized(atom.right, sizes))
