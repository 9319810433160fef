"""Special functions of JAX as compositions: erf_inv, erfc, the gamma function's, and Bessel functions.

Where JAX has a primitive written in JAX itself, that text is traced and read in its place.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from graphflow.autodiff.custom import custom_gradient
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dtypes import float32, float64
from graphflow.ir.node import Tensor
from graphflow.runtime.jax.jaxpr_inline import with_jax_gradient
from graphflow.runtime.jax.jaxpr_reader import Step, Value, mapped

_CENTRAL = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
    -0.00417768164, 0.246640727, 1.50140941,
)  # fmt: skip
_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
    0.00943887047, 1.00167406, 2.83297682,
)  # fmt: skip
_LANCZOS = (
    676.520368121885098567009190444019, -1259.13921672240287047156078755283, 771.3234287776530788486528258894,
    -176.61502916214059906584551354, 12.507343278686904814458936853, -0.13857109526572011689554707,
    9.984369578019570859563e-6, 1.50563273514931155834e-7,
)  # fmt: skip


def _polynomial(b: Builder, coefficients: Sequence[float], x: Tensor) -> Tensor:
    total = b.like(coefficients[0], x)
    for coefficient in coefficients[1:]:
        total = b.add(b.multiply(total, x), b.like(coefficient, x))
    return total


def _computing(step: Step, x: Value) -> Tensor:
    """x in a dtype that has the digits which the composition needs."""
    kind = step.out.dtype
    return step.b.astype(x, dtype=kind if kind in (float32, float64) else float32)


def erf_inverse(x: Tensor) -> Tensor:
    """The y with erf(y) = x; by Giles, Approximating the erfinv function, 2010."""
    b = builder_for([x])
    w = b.negative(b.log1p(b.negative(b.square(x))))
    central = b.less(w, 5)
    near = b.subtract(b.where(central, w, 0), 2.5)
    far = b.subtract(b.sqrt(b.where(central, 9, w)), 3)
    y = b.multiply(b.where(central, _polynomial(b, _CENTRAL, near), _polynomial(b, _TAIL, far)), x)
    ends = b.equal(b.abs(x), 1)
    if x.dtype is float64:  # Newton's method doubles the digits each time
        for _ in range(2):
            slope = b.multiply(b.exp(b.square(y)), math.sqrt(math.pi) / 2)
            y = b.subtract(y, b.where(ends, 0, b.multiply(b.subtract(b.erf(y), x), slope)))
    return b.where(ends, b.multiply(x, math.inf), y)


@mapped("erf_inv")
def _(step: Step, x: Value) -> Tensor:
    @custom_gradient
    def erf_inv(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        y = erf_inverse(x)
        return y, lambda g: g * _exp_square(y)

    return erf_inv(_computing(step, x))


def _exp_square(y: Tensor) -> Tensor:
    b = builder_for([y])
    return b.multiply(b.exp(b.square(y)), math.sqrt(math.pi) / 2)


@mapped("erfc")
def _(step: Step, x: Value) -> Tensor:
    """1 - erf(x), and where that loses digits exp(-x^2) times a continued fraction."""
    b, x = step.b, _computing(step, x)
    size = b.abs(x)
    plain = b.subtract(1, b.erf(x))
    far = b.maximum(size, 1)
    tail = _continued(b, far)
    tail = b.multiply(tail, b.exp(b.negative(b.square(far))))
    return b.where(b.greater(x, 1), tail, plain)


def _continued(b: Builder, x: Tensor) -> Tensor:
    """exp(x^2) erfc(x) for x >= 1, by its continued fraction from the end."""
    count = 120 if x.dtype is float64 else 40
    total = x
    for number in range(count, 0, -1):
        total = b.add(x, b.divide(number / 2, total))
    return b.divide(1 / math.sqrt(math.pi), total)


def _lanczos(b: Builder, z: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of Lanczos's approximation for g = 7, and its derivative by z."""
    total, slope = b.full_like(0.99999999999980993227684700473478, z), b.full_like(0, z)
    for number, coefficient in enumerate(_LANCZOS, 1):
        part = b.divide(b.like(coefficient, z), b.add(z, number))
        total, slope = b.add(total, part), b.subtract(slope, b.divide(part, b.add(z, number)))
    return total, slope


def _log_gamma(x: Tensor) -> Tensor:
    b = builder_for([x])
    reflected = b.less(x, 0.5)
    z = b.where(reflected, b.negative(x), b.subtract(x, 1))
    total, _ = _lanczos(b, z)
    t = b.add(z, 7.5)
    log_t = b.add(b.log1p(b.divide(z, 7.5)), math.log(7.5))
    made = b.add(b.multiply(b.subtract(b.add(z, 0.5), b.divide(t, log_t)), log_t), b.log(total))
    made = b.add(made, 0.5 * math.log(2 * math.pi))
    size = b.abs(x)
    part = b.subtract(size, b.floor(size))
    part = b.where(b.greater(part, 0.5), b.subtract(1, part), part)
    sine = b.log(b.sin(b.multiply(part, math.pi)))
    mirrored = b.subtract(b.subtract(math.log(math.pi), sine), made)
    mirrored = b.where(b.is_finite(sine), mirrored, b.negative(sine))
    return b.where(b.is_inf(x), math.inf, b.where(reflected, mirrored, made))


def _digamma(x: Tensor) -> Tensor:
    b = builder_for([x])
    reflected = b.less(x, 0.5)
    z = b.where(reflected, b.negative(x), b.subtract(x, 1))
    total, slope = _lanczos(b, z)
    log_t = b.add(b.log1p(b.divide(z, 7.5)), math.log(7.5))
    made = b.subtract(b.add(log_t, b.divide(slope, total)), b.divide(7.0, b.add(z, 7.5)))
    part = b.add(x, b.abs(b.floor(b.add(x, 0.5))))  # of the period of the cotangent, the part near 0
    turn = b.multiply(part, math.pi)
    mirrored = b.subtract(made, b.divide(b.multiply(b.cos(turn), math.pi), b.sin(turn)))
    pole = b.logical_and(b.less_equal(x, 0), b.equal(x, b.floor(x)))
    return b.where(pole, math.nan, b.where(reflected, mirrored, made))


@mapped("lgamma")
def _(step: Step, x: Value) -> Tensor:
    @custom_gradient
    def lgamma(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        return _log_gamma(x), lambda g: g * _digamma(x)

    return lgamma(_computing(step, x))


@mapped("digamma")
def _(step: Step, x: Value) -> Tensor:
    return _digamma(_computing(step, x))


def _retraced(home: str, name: str) -> Callable[..., Any] | None:
    """A function inside JAX that says what a primitive computes, if this version of JAX has it."""
    try:
        return getattr(importlib.import_module(home), name, None)
    except ImportError:
        return None


def _first_order(order_zero: Callable[..., Any]) -> Callable[..., Any]:
    """I_1 e^-|x| from f = I_0 e^-|x|: f' + sign(x) f."""

    def function(x: Any) -> Any:
        value, slope = jax.jvp(order_zero, (x,), (jax.numpy.ones_like(x),))
        return slope + jax.numpy.sign(x) * value

    return function


def _expansion(function: Callable[..., Any]) -> Callable[..., Any]:
    """The rule that reads what a function inside JAX computes; derivatives are those of the primitive."""
    alike = "dtype" in inspect.signature(function).parameters

    def spelled(*arrays: Any) -> Any:
        if not alike:
            return function(*arrays)
        dtype = np.dtype(np.float64 if arrays[0].dtype == np.float64 else np.float32)
        given = [array.astype(dtype) for array in jax.numpy.broadcast_arrays(*arrays)]
        return function(*given, dtype=dtype).astype(arrays[0].dtype)

    def rule(step: Step, *operands: Value) -> list[Value]:
        shapes = [jax.ShapeDtypeStruct(atom.aval.shape, atom.aval.dtype) for atom in step.equation.invars]
        closed = jax.make_jaxpr(spelled)(*shapes)
        return with_jax_gradient(step, lambda *values: step.reader.run(closed, values), operands)

    return rule


for _primitive, _function in {
    "bessel_i0e": "bessel_i0e_impl",
    "bessel_i1e": "bessel_i0e_impl",
    "igamma": "igamma_impl",
    "igamma_grad_a": "igamma_grad_a_impl",
    "igammac": "igammac_impl",
    "random_gamma_grad": "random_gamma_grad_impl",
    "regularized_incomplete_beta": "regularized_incomplete_beta_impl",
}.items():
    _found = _retraced("jax._src.lax.special", _function)
    if _found is not None:
        mapped(_primitive)(_expansion(_first_order(_found) if _primitive == "bessel_i1e" else _found))
