"""Random operators: pure functions of a key, so that equal keys give equal numbers everywhere.

A key is two words. `random_key` derives one from the session's key (seed and step) and the name of a
stream; everything else turns a key into numbers, or several keys, [..., 2], into numbers for each. Bits
are equal on all targets; uniform numbers too, since they are bits scaled by a power of two; normal
numbers agree up to rounding.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir import dims
from graphflow.ir.dtypes import as_dtype, float32, int64, uint32
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType, as_shape
from graphflow.ops import threefry
from graphflow.ops.inference import broadcast_shapes, show

_REASON = "random numbers do not depend on the key in a differentiable way"


def require_key(type, size, operation):
    """Raise a DTypeError unless the type is that of a key of so many words."""
    if type.dtype is not uint32 or type.rank != 1 or dims.unify(type.shape[0], size) is None:
        raise DTypeError(
            f"{operation} needs a key of type uint32[{size}], not {type}",
            hint="gf.random.uniform, gf.random.normal ... take care of keys",
        )


def _keys(type, operation):
    """The leading axes of a tensor of keys."""
    if type.dtype is not uint32 or not type.rank or dims.unify(type.shape[-1], 2) is None:
        require_key(type, 2, operation)
    return type.shape[:-1]


def _for_each_key(draw: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """What a function of one key gives for each of several, along the axes in which they lie."""

    @functools.wraps(draw)
    def drawn(key: np.ndarray, /, **attrs: Any) -> np.ndarray:
        if key.ndim == 1:
            return draw(key, **attrs)
        one = draw(np.zeros(2, np.uint32), **attrs)
        made = np.empty((*key.shape[:-1], *one.shape), one.dtype)
        for place in np.ndindex(key.shape[:-1]):
            made[place] = draw(key[place], **attrs)
        return made

    return drawn


def _key_attrs(types, attrs):
    if not isinstance(attrs["stream"], str):
        raise AttributeValueError(f"the name of a random stream must be a string, not {attrs['stream']!r}")
    return attrs


def _key_type(types, attrs):
    require_key(types[0], 4, "random_key")
    return (TensorType(uint32, (2,)),)


@op("random", infer=_key_type, normalize=_key_attrs)
def random_key(session_key, /, stream):
    """The key of a named random stream in the current step of a session.

    Threefry-2x32-20 with the seed as key encrypts the step, and with that as key the 64-bit BLAKE2b
    hash of the stream's name.

    Arguments:
        session_key: uint32[4]: seed high, seed low, step high, step low.
        stream: the name; different names give independent streams.

    >>> import graphflow as gf
    >>> from graphflow.ops.random import random_key
    >>> random_key(gf.constant([0, 1, 0, 0], dtype=gf.uint32), "dropout").type
    uint32[2]
    """
    return threefry.stream_key(session_key, stream)


random_key.not_differentiable(_REASON, zero=True)


def _folded_type(types, attrs):
    key, data = types
    lead = _keys(key, "random_fold_in")
    if data.dtype.kind not in ("int", "uint"):
        raise DTypeError(
            f"random_fold_in takes whole numbers, not {data}",
            hint="convert with gf.astype(data, gf.int64)",
        )
    return (TensorType(uint32, (*broadcast_shapes(lead, data.shape), 2)),)


@op("random", infer=_folded_type)
def random_fold_in(key, data, /):
    """A new key from a key and a whole number: Threefry-2x32-20 of the number, as a counter, with the key.

    Equal numbers give equal keys whatever their dtype; different ones give unrelated keys.

    Arguments:
        key: uint32[2]; or several, [..., 2].
        data: of any integer dtype, such as the number of an iteration; taken modulo 2**64. It broadcasts
            with the keys.

    Source: `jax.random.fold_in`, which is the same for numbers from 0 to 2**32 - 1.

    >>> import graphflow as gf
    >>> from graphflow.ops.random import random_fold_in
    >>> random_fold_in(gf.constant([0, 1], dtype=gf.uint32), gf.constant(3)).type
    uint32[2]
    """
    lead = np.broadcast_shapes(key.shape[:-1], data.shape)
    keys, numbers = np.broadcast_to(key, (*lead, 2)), np.broadcast_to(data, lead)
    made = np.empty((*lead, 2), np.uint32)
    for place in np.ndindex(lead):
        made[place] = threefry.fold_in(keys[place], int(numbers[place]))
    return made


random_fold_in.not_differentiable(_REASON, zero=True)


def _bits_attrs(types, attrs):
    return {"shape": as_shape(attrs["shape"])}


def _bits_type(types, attrs):
    return (TensorType(uint32, (*_keys(types[0], "random_bits"), *attrs["shape"])),)


@op("random", infer=_bits_type, normalize=_bits_attrs)
@_for_each_key
def random_bits(key, /, shape):
    """Random words of 32 bits: Threefry-2x32-20 of the counters 0, 1, 2, ...

    Of n words the first half, rounded up, are the left halves of the encrypted counters, the others
    the right halves.

    Arguments:
        key: uint32[2]; or several, [..., 2], whose axes come first in the result.
        shape: sizes, which may be symbolic.

    Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.

    >>> import graphflow as gf
    >>> from graphflow.ops.random import random_bits
    >>> random_bits(gf.constant([0, 1], dtype=gf.uint32), (2, 3)).type
    uint32[2, 3]
    """
    return threefry.words(key, threefry.element_count(shape)).reshape(shape)


random_bits.not_differentiable(_REASON, zero=True)


def _real_attrs(types, attrs):
    return {"shape": as_shape(attrs["shape"]), "dtype": as_dtype(attrs["dtype"])}


def _real_type(operation):
    def infer(types, attrs):
        lead = _keys(types[0], operation)
        if not attrs["dtype"].is_floating:
            raise DTypeError(
                f"{operation} makes real numbers, not {attrs['dtype']}", hint="use gf.random.integers"
            )
        return (TensorType(attrs["dtype"], (*lead, *attrs["shape"])),)

    return infer


@op("random", infer=_real_type("random_uniform"), normalize=_real_attrs)
@_for_each_key
def random_uniform(key, /, shape, dtype=float32):
    """Uniform numbers in [0, 1): multiples of 2^-p, where p is the precision of the dtype.

    Arguments:
        key: uint32[2]; or several, [..., 2], whose axes come first in the result.
        shape: sizes, which may be symbolic.
        dtype: a floating type.

    >>> import graphflow as gf
    >>> from graphflow.ops.random import random_uniform
    >>> random_uniform(gf.constant([0, 1], dtype=gf.uint32), ("batch", 3)).type
    float32[batch, 3]
    """
    return threefry.uniform(key, shape, dtype)


random_uniform.not_differentiable(_REASON, zero=True)


@op("random", infer=_real_type("random_normal"), normalize=_real_attrs)
@_for_each_key
def random_normal(key, /, shape, dtype=float32):
    """Standard normal numbers, always finite: z = sqrt(-2 ln u) cos(2 pi v), and with sin.

    Arguments:
        key: uint32[2]; or several, [..., 2], whose axes come first in the result.
        shape: sizes, which may be symbolic.
        dtype: a floating type.

    Source: Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958.

    >>> import graphflow as gf
    >>> from graphflow.ops.random import random_normal
    >>> random_normal(gf.constant([0, 1], dtype=gf.uint32), ("batch", 3)).type
    float32[batch, 3]
    """
    return threefry.normal(key, shape, dtype)


random_normal.not_differentiable(_REASON, zero=True)


def _permutation_attrs(types, attrs):
    return {"size": dims.as_size(attrs["size"])}


def _permutation_type(types, attrs):
    lead = _keys(types[0], "random_permutation")
    size = attrs["size"]
    if isinstance(size, int) and size < 0:
        raise ShapeError(f"random_permutation cannot permute {show((size,))} elements")
    return (TensorType(int64, (*lead, size)),)


@op("random", infer=_permutation_type, normalize=_permutation_attrs)
@_for_each_key
def random_permutation(key, /, size):
    """The numbers 0 ... size - 1 in random order: the order that sorts as many random words.

    Equal words keep their order.

    Arguments:
        key: uint32[2]; or several, [..., 2], whose axes come first in the result.
        size: how many; it may be symbolic.

    >>> import graphflow as gf
    >>> from graphflow.ops.random import random_permutation
    >>> random_permutation(gf.constant([0, 1], dtype=gf.uint32), 10).type
    int64[10]
    """
    return np.argsort(threefry.words(key, size), kind="stable").astype(np.int64)


random_permutation.not_differentiable(_REASON, zero=True)
