"""JAX lowerings of arithmetic, real functions and rounding (the family elementwise)."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from graphflow.runtime.jax.lowering import LOWERINGS, Lowering, lowering

# Functions of jax.numpy and lax that agree with the references, special values included.
LOWERINGS.update(
    {
        "add": jnp.add,
        "subtract": jnp.subtract,
        "multiply": jnp.multiply,
        "divide": jnp.divide,
        "maximum": jnp.maximum,
        "minimum": jnp.minimum,
        "negative": jnp.negative,
        "abs": jnp.abs,
        "square": lax.square,
        "reciprocal": jnp.reciprocal,
        "sign": jnp.sign,
        "copysign": jnp.copysign,
        "nextafter": jnp.nextafter,
        "exp": jnp.exp,
        "expm1": jnp.expm1,
        "log": jnp.log,
        "log1p": jnp.log1p,
        "log2": jnp.log2,
        "log10": jnp.log10,
        "sqrt": jnp.sqrt,
        "rsqrt": lax.rsqrt,
        "erf": lax.erf,
        "logaddexp": jnp.logaddexp,
        "hypot": jnp.hypot,
        "sin": jnp.sin,
        "cos": jnp.cos,
        "tan": jnp.tan,
        "asin": jnp.arcsin,
        "acos": jnp.arccos,
        "atan": jnp.arctan,
        "atan2": jnp.arctan2,
        "sinh": jnp.sinh,
        "cosh": jnp.cosh,
        "tanh": jnp.tanh,
        "asinh": jnp.arcsinh,
        "acosh": jnp.arccosh,
        "atanh": jnp.arctanh,
        "is_nan": jnp.isnan,
        "is_inf": jnp.isinf,
        "is_finite": jnp.isfinite,
        "stop_gradient": lax.stop_gradient,
    }
)


def _is_integer(x: Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.integer)


def _divide_down(x: Array, y: Array) -> tuple[Array, Array]:
    """The quotient of floats rounded down, and what it leaves; with NumPy's signs of zeros, unlike JAX's."""
    dtype = x.dtype
    wide = jnp.float32 if dtype.itemsize == 2 else dtype
    x, y = jnp.broadcast_arrays(x.astype(wide), y.astype(wide))
    left = lax.rem(x, y)
    above = (left != 0) & ((y < 0) != (left < 0))
    quotient = jnp.where(above, (x - left) / y - 1, (x - left) / y)
    left = jnp.where(left == 0, jnp.copysign(0, y), jnp.where(above, left + y, left))
    down = jnp.floor(quotient)
    down = jnp.where(quotient - down > 0.5, down + 1, down)  # the quotient was rounded below a whole number
    down = jnp.where(quotient == 0, jnp.copysign(0, x / y), down)
    return jnp.where(y == 0, x / y, down).astype(dtype), left.astype(dtype)


@lowering("floor_divide")
def _floor_divide(x: Array, y: Array) -> Array:
    if not _is_integer(x):
        return _divide_down(x, y)[0]
    return jnp.where(y == 0, jnp.zeros((), x.dtype), jnp.floor_divide(x, jnp.where(y == 0, 1, y)))


@lowering("remainder")
def _remainder(x: Array, y: Array) -> Array:
    if not _is_integer(x):
        return _divide_down(x, y)[1]
    return jnp.where(y == 0, jnp.zeros((), x.dtype), jnp.remainder(x, jnp.where(y == 0, 1, y)))


@lowering("fmod")
def _fmod(x: Array, y: Array) -> Array:
    if not _is_integer(x):
        return lax.rem(*jnp.broadcast_arrays(x, y))
    return jnp.where(
        y == 0, jnp.zeros((), x.dtype), lax.rem(*jnp.broadcast_arrays(x, jnp.where(y == 0, 1, y)))
    )


@lowering("pow")
def _pow(x: Array, y: Array) -> Array:
    if not _is_integer(x):
        return jnp.power(x, y)
    inverse = jnp.where(jnp.abs(x) == 1, jnp.where(y & 1, x, 1), 0)
    return jnp.where(y < 0, inverse, _integer_power(x, jnp.maximum(y, 0)))


def _integer_power(x: Array, y: Array) -> Array:
    """x^y for y >= 0 by squaring, one step a bit, so that overflow wraps as it does in NumPy."""
    x, y = jnp.broadcast_arrays(x, y)

    def step(_: int, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        result, base, rest = state
        return jnp.where(rest & 1, result * base, result), base * base, rest >> 1

    return lax.fori_loop(0, x.dtype.itemsize * 8, step, (jnp.ones_like(x), x, y))[0]


def _rounding(name: str, function: Lowering) -> None:
    LOWERINGS[name] = lambda x: x if _is_integer(x) else function(x)


for _name, _function in (("ceil", jnp.ceil), ("floor", jnp.floor), ("round", jnp.rint), ("trunc", jnp.trunc)):
    _rounding(_name, _function)


@lowering("identity")
def _identity(x: Array) -> Array:
    return x
