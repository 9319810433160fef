"""JAX lowering of packed products: a call of machine code of our own, or XLA's operators where it cannot be.

The kernels need an index of the windows, and a plan that cuts the work into pieces; both depend on sizes
alone, and become constants of the program.
"""

from __future__ import annotations

import os
from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from graphflow.ops.windows import output_sizes
from graphflow.runtime.jax.kernels import library
from graphflow.runtime.jax.kernels.places import windows
from graphflow.runtime.jax.kernels.plan import Work, cut
from graphflow.runtime.jax.lower_channels_last import direct
from graphflow.runtime.jax.lowering import lowering

if TYPE_CHECKING:
    from graphflow.runtime.jax.kernels.machine import Machine

_FEW_CHANNELS = 8
"""Images of fewer are padded before, so that whole rows of windows are neighbours."""


@lowering("packed_conv")
def _packed_conv(
    x: Any, panels: Any, *rest: Any, bias: bool, addend: bool, lower: float, upper: float, **attrs: Any
) -> Any:
    added = Added(bias, addend, lower, upper)
    if library.missing() or panels.shape[3] != library.machine().lanes:
        return _by_xla(x, panels, rest, added, attrs)
    return by_kernel(library.machine(), x, panels, rest, added, attrs)


class Added(NamedTuple):
    """What is done to sums: which tensors are added, and the bounds."""

    bias: bool
    addend: bool
    lower: float
    upper: float


def by_kernel(machine: Machine, x: Any, panels: Any, rest: Any, added: Added, attrs: dict[str, Any]) -> Any:
    """A call of the kernels for a machine; what is too large for their index is left to XLA."""
    x, attrs = _with_rows(x, attrs)
    positions = _positions(x, attrs)
    found = windows(x.shape, positions, attrs)
    if not found.is_countable:
        return _by_xla(x, panels, rest, added, attrs)
    work = Work(found, panels.shape, attrs["outputs"], added.bias, added.addend)
    plan = cut(work, machine.most_vectors, os.cpu_count() or 1)
    zeros = np.zeros(max(found.depth, plan.step * machine.lanes), np.float32)
    bounds = np.array([added.lower, added.upper], np.float32)
    shape = (x.shape[0], *positions, attrs["outputs"])
    name = library.registered(machine, work.is_depthwise)
    call = jax.ffi.ffi_call(name, jax.ShapeDtypeStruct(shape, np.float32))
    given = map(jnp.asarray, (plan.numbers(), found.index(), zeros, bounds))
    return call(*given, x, panels, *rest)


def _positions(x: Any, attrs: Any) -> tuple[int, ...]:
    if not attrs["kernel"]:
        return ()
    geometry = (attrs["kernel"], attrs["strides"], attrs["padding"], attrs["dilation"])
    sizes: Any = output_sizes(x.shape[1:-1], *geometry, "packed_conv")
    return tuple(sizes)


def _with_rows(x: Any, attrs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Images of few channels with their padding, and what is left to do."""
    is_small = prod(attrs["kernel"]) == 1 or not any(map(any, attrs["padding"]))
    if x.shape[-1] >= _FEW_CHANNELS or attrs["groups"] > 1 or is_small:
        return x, attrs
    padded = jnp.pad(x, ((0, 0), *attrs["padding"], (0, 0)))
    return padded, {**attrs, "padding": tuple([(0, 0)] * len(attrs["kernel"]))}


def _by_xla(x: Any, panels: Any, rest: Any, added: Added, attrs: dict[str, Any]) -> Any:
    """The same by XLA's own operators."""
    groups, count, rows, lanes = panels.shape
    kernel, outputs = attrs["kernel"], attrs["outputs"]
    parts = panels.transpose(2, 0, 1, 3).reshape(rows, groups, count * lanes)[:, :, : outputs // groups]
    w = parts.reshape(*kernel, rows // prod(kernel), outputs)
    geometry = {name: attrs[name] for name in ("strides", "padding", "dilation", "groups")}
    made = reduce(jnp.add, rest, direct(x, w, **geometry) if kernel else x @ w)
    return jnp.minimum(jnp.maximum(made, np.float32(added.lower)), np.float32(added.upper))
