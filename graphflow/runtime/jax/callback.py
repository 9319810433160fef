"""Calling a NumPy kernel from the middle of a compiled program: the lowering of operators without one.

XLA hands the arguments to Python and waits for the result, so data leaves the device and comes back. Of
64-bit numbers the callback would see the nearest 32-bit ones, as it runs in a thread where JAX's 64-bit
switch is off; so they travel as pairs of 32-bit words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from graphflow.errors import BackendError
from graphflow.ir.data import as_result
from graphflow.ir.node import Node
from graphflow.ir.types import TensorType

_WORDS = np.dtype(np.uint32)


def callback_lowering(node: Node) -> Callable[..., Any]:
    """The function of traced arrays that calls the NumPy reference of a node's operator."""
    given = [tensor.type for tensor in node.inputs]
    made = [tensor.type for tensor in node.outputs]
    shapes = [jax.ShapeDtypeStruct(_travelling_shape(kind), _travelling_dtype(kind)) for kind in made]

    def rule(*arrays: Any, **attrs: Any) -> tuple[Any, ...]:
        def kernel(*parts: Any) -> tuple[np.ndarray, ...]:
            arguments = [_received(part, kind) for part, kind in zip(parts, given)]
            try:
                with np.errstate(all="ignore"):
                    results = node.op.reference(*arguments, **attrs)
            except Exception as error:
                raise BackendError(
                    f"the kernel of {node.name!r} ({node.op.name}) failed: {type(error).__name__}: {error}",
                    origin=node.origin,
                ) from error
            listed = results if isinstance(results, tuple) else (results,)
            return tuple(map(_returned, _checked(node, listed, made), made))

        parts = [_sent(array) for array in arrays]
        results = jax.pure_callback(kernel, tuple(shapes), *parts, vmap_method="sequential")
        return tuple(_arrived(part, kind) for part, kind in zip(results, made))

    return rule


def _checked(node: Node, values: Sequence[Any], kinds: Sequence[TensorType]) -> list[np.ndarray]:
    """The kernel's results, if they are what the graph says."""
    arrays = [as_result(value) for value in values]
    actual = [f"{array.dtype}{list(array.shape)}" for array in arrays]
    declared = [f"{kind.dtype.numpy}{list(kind.shape)}" for kind in kinds]
    if actual != declared:
        raise BackendError(
            f"the kernel of {node.name!r} ({node.op.name}) gives {', '.join(actual)}, "
            f"but the graph says {', '.join(declared)}",
            origin=node.origin,
        )
    return arrays


def _is_wide(dtype: np.dtype) -> bool:
    return dtype.itemsize >= 8 and dtype != np.complex64


def _travelling_dtype(kind: TensorType) -> np.dtype:
    return _WORDS if _is_wide(kind.dtype.numpy) else kind.dtype.numpy


def _travelling_shape(kind: TensorType) -> tuple[Any, ...]:
    dtype = kind.dtype.numpy
    return (*kind.shape, dtype.itemsize // 4) if _is_wide(dtype) else tuple(kind.shape)


def _sent(array: Any) -> Any:
    """On the device: an array as it travels to Python."""
    if not _is_wide(array.dtype):
        return array
    if array.dtype == np.complex128:
        array = jnp.stack([array.real, array.imag], -1)
        return lax.bitcast_convert_type(array, _WORDS).reshape(*array.shape[:-1], 4)
    return lax.bitcast_convert_type(array, _WORDS)


def _received(part: Any, kind: TensorType) -> np.ndarray:
    """In Python: the array that was sent."""
    array = np.asarray(part)
    if not _is_wide(kind.dtype.numpy):
        return array
    return np.ascontiguousarray(array).view(kind.dtype.numpy).reshape(kind.shape)


def _returned(array: np.ndarray, kind: TensorType) -> np.ndarray:
    """In Python: a result as it travels to the device."""
    if not _is_wide(array.dtype):
        return array
    return np.frombuffer(array.tobytes(), _WORDS).reshape(_travelling_shape(kind))


def _arrived(part: Any, kind: TensorType) -> Any:
    """On the device: the result."""
    dtype = kind.dtype.numpy
    if not _is_wide(dtype):
        return part
    if dtype == np.complex128:
        pairs = lax.bitcast_convert_type(part.reshape(*kind.shape, 2, 2), np.dtype(np.float64))
        return lax.complex(pairs[..., 0], pairs[..., 1])
    return lax.bitcast_convert_type(part, dtype)
