"""Random numbers of JAX, bit for bit: Threefry-2x32 as operators, and keys as their two words."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
from jax.extend import random as generators

from graphflow.ir.dtypes import uint32
from graphflow.ir.node import Tensor
from graphflow.ops.threefry import PARITY, ROTATIONS
from graphflow.runtime.jax.from_jax_shape import reshaped
from graphflow.runtime.jax.jaxpr_inline import with_jax_gradient
from graphflow.runtime.jax.jaxpr_reader import Step, Value, mapped


@mapped("random_wrap", "random_unwrap", "random_clone")
def _(step: Step, key: Value) -> Value:
    return key


@mapped("threefry2x32")
def _(step: Step, first: Value, second: Value, high: Value, low: Value) -> list[Tensor]:
    b = step.b
    third = b.bitwise_xor(b.bitwise_xor(first, second), np.array(PARITY, np.uint32))
    schedule = (first, second, third)
    left, right = b.add(high, first), b.add(low, second)
    for group in range(5):
        for distance in ROTATIONS[group % 2]:
            left = b.add(left, right)
            up = b.bitwise_left_shift(right, np.array(distance, np.uint32))
            down = b.bitwise_right_shift(right, np.array(32 - distance, np.uint32))
            right = b.bitwise_xor(b.bitwise_or(up, down), left)
        left = b.add(left, schedule[(group + 1) % 3])
        right = b.add(b.add(right, schedule[(group + 2) % 3]), np.array(group + 1, np.uint32))
    return [left, right]


def _inlined(step: Step, function: Any, keys: Value, *others: Value) -> Value:
    """What JAX's generator does for each of some keys, read into the graph."""
    shape = step.types[0].shape
    count = len(shape) - 1
    types = [
        jax.ShapeDtypeStruct((2,), np.uint32),
        *[jax.ShapeDtypeStruct((), kind.dtype.numpy) for kind in step.types[1:]],
    ]
    if count == 0:
        closed = jax.make_jaxpr(function)(*types)
        return step.reader.run(closed, [keys, *others])[0]
    if not all(isinstance(size, int) for size in shape):
        raise step.refuse("has an unknown number of keys", "give that number")
    many = [jax.ShapeDtypeStruct((*shape[:-1], *kind.shape), kind.dtype) for kind in types]
    for _ in range(count):
        function = jax.vmap(function)
    others = tuple([_spread(step, other, shape[:-1]) for other in others])
    return step.reader.run(jax.make_jaxpr(function)(*many), [keys, *others])[0]


def _spread(step: Step, value: Value, shape: tuple[Any, ...]) -> Value:
    return value if tuple(value.shape) == tuple(shape) else step.b.broadcast_to(value, shape=shape)


@mapped("random_bits")
def _(step: Step, key: Value) -> Value:
    width, shape = step.params["bit_width"], tuple(step.params["shape"])
    return _inlined(step, lambda k: generators.threefry_prng_impl.random_bits(k, width, shape), key)


@mapped("random_split")
def _(step: Step, key: Value) -> Value:
    shape = tuple(step.params["shape"])
    return _inlined(step, lambda k: generators.threefry_prng_impl.split(k, shape), key)


@mapped("random_fold_in")
def _(step: Step, key: Value, data: Value) -> Value:
    return _inlined(step, generators.threefry_prng_impl.fold_in, key, step.b.astype(data, dtype=uint32))


@mapped("random_seed")
def _(step: Step, seed: Value) -> Value:
    """The two halves of the seed as 64 bits; a seed of 32 bits has the higher half 0."""
    b, dtype = step.b, step.types[0].dtype
    if dtype.bits == 64:
        words = b.bitcast(seed, dtype="uint64")
        high = b.astype(b.bitwise_right_shift(words, np.array(32, np.uint64)), dtype=uint32)
        low = b.astype(b.bitwise_and(words, np.array(0xFFFFFFFF, np.uint64)), dtype=uint32)
    else:
        low = b.astype(seed, dtype=uint32)
        high = b.multiply(low, np.array(0, np.uint32))
    shape = (*step.types[0].shape, 1)
    return b.concat(reshaped(step, high, shape), reshaped(step, low, shape), axis=-1)


@mapped("random_gamma", fold=False)
def _(step: Step, key: Value, concentration: Value) -> list[Value]:
    """As JAX computes it; the derivative by the concentration is that of JAX too."""
    own = functools.partial(step.equation.primitive.impl, log_space=step.params["log_space"], use_vmap=True)
    avals = [jax.ShapeDtypeStruct(atom.aval.shape, atom.aval.dtype) for atom in step.equation.invars]
    closed = jax.make_jaxpr(own)(*avals)
    return with_jax_gradient(step, lambda *values: step.reader.run(closed, values), [key, concentration])
