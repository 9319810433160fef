"""Elementwise functions of jax.numpy, jax.nn and jax.lax, and special functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests.runtime.from_jax_cases import agree, case, normal

X, Y = normal(3, 4), normal(3, 4, seed=1)
POSITIVE = np.abs(X) + np.float32(0.1)
INSIDE = (np.tanh(X) * 0.9).astype(np.float32)
INTS = np.random.default_rng(0).integers(-5, 5, (3, 4)).astype(np.int32)
WORDS = np.random.default_rng(1).integers(0, 2**32, (6,)).astype(np.uint32)
AWKWARD = np.array([1.0, -1.5, np.nan, np.inf, -np.inf, -0.0, 0.0], np.float32)
HALVES = np.array([0.5, -0.5, 1.5, 2.5, -2.5, 0.49999997, -0.0], np.float32)

ONE = [
    *["abs", "ceil", "cos", "cosh", "exp", "exp2", "expm1", "floor", "sign", "sin", "sinh", "tanh", "tan"],
    *["square", "negative", "sinc", "cbrt", "rint", "arcsinh", "arctan", "deg2rad", "nan_to_num", "trunc"],
]
OF_POSITIVE = ["sqrt", "log", "log1p", "log2", "log10", "reciprocal"]
TWO = [
    *["add", "subtract", "multiply", "divide", "arctan2", "maximum", "minimum", "logaddexp", "hypot"],
    *["copysign", "fmod", "remainder", "floor_divide", "nextafter", "logaddexp2", "heaviside"],
]
NO_GRADIENT = {"copysign", "fmod", "remainder", "floor_divide", "nextafter", "heaviside"}
OF_INTS = [
    *["add", "subtract", "multiply", "floor_divide", "remainder", "fmod", "maximum", "bitwise_and", "power"],
    *["bitwise_or", "bitwise_xor", "left_shift", "right_shift", "gcd", "true_divide", "equal", "less"],
]
NN = [
    *["relu", "relu6", "gelu", "silu", "softplus", "sigmoid", "elu", "selu", "leaky_relu", "softmax", "celu"],
    *["log_softmax", "logsumexp", "hard_tanh", "hard_sigmoid", "glu", "hard_swish", "mish", "standardize"],
    *["squareplus", "log_sigmoid", "soft_sign", "hard_silu", "sparse_plus"],
]


@pytest.mark.parametrize("name", ONE)
def test_function_of_one(name):
    agree(getattr(jnp, name), X)


@pytest.mark.parametrize("name", OF_POSITIVE)
def test_function_of_positive(name):
    agree(getattr(jnp, name), POSITIVE)


@pytest.mark.parametrize("name", ["arcsin", "arccos", "arctanh"])
def test_function_of_small(name):
    agree(getattr(jnp, name), INSIDE)


@pytest.mark.parametrize("name", TWO)
def test_function_of_two(name):
    agree(getattr(jnp, name), X, Y, gradient=name not in NO_GRADIENT)


@pytest.mark.parametrize("name", OF_INTS)
def test_function_of_integers(name):
    agree(getattr(jnp, name), INTS, np.abs(INTS) + 1)


@pytest.mark.parametrize("name", NN)
def test_function_of_jax_nn(name):
    function = getattr(jax.nn, name)
    agree(lambda x: function(x), X)


SPECIAL = ["erf", "erfc", "logistic", "lgamma", "digamma", "bessel_i0e", "bessel_i1e"]


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("wide", [False, True])
def test_special_function(name, wide):
    x = np.concatenate([X.ravel() * 2, [0.3, 4.5, 9.0, -7.5]]).astype(np.float64 if wide else np.float32)
    tol = 1e-9 if wide else 5e-4
    agree(getattr(lax, name), x, wide=wide, tol=tol, gradient=not wide)


@pytest.mark.parametrize("wide", [False, True])
def test_inverse_error_function(wide):
    x = np.array([0.0, 0.1, -0.5, 0.9, -0.99, 0.9999, 1e-6], np.float64 if wide else np.float32)
    agree(lax.erf_inv, x, wide=wide, tol=1e-12 if wide else 2e-5)
    agree(lax.erf_inv, np.array([1.0, -1.0, np.nan], x.dtype), wide=wide, gradient=False)


@pytest.mark.parametrize("power", [2, 3, -1, -2, 5, 0, 1])
def test_integer_power(power):
    agree(lambda x: lax.integer_pow(x, power), POSITIVE)
    if power >= 0:
        agree(lambda x: lax.integer_pow(x, power), INTS)


TABLE = [
    case("pow", jnp.power, POSITIVE, Y),
    case("int pow", lambda x: x**3, INTS),
    case("float to int pow", lambda x, i: lax.pow(x, i), POSITIVE, INTS % 3),
    case("div", lax.div, INTS, np.abs(INTS) + 2),
    case("rem", lax.rem, INTS, np.abs(INTS) + 2),
    case("half away", lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO), HALVES, gradient=False),
    case("half even", lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN), HALVES, gradient=False),
    case("clamp", lambda x: lax.clamp(-0.5, x, 0.5), X),
    case("clip", lambda x: jnp.clip(x, -0.5, 0.5), X),
    case("rsqrt", lax.rsqrt, POSITIVE),
    case("acosh", jnp.arccosh, POSITIVE + 1),
    case("population count", lax.population_count, WORDS),
    case("population count int", lax.population_count, INTS),
    case("leading zeros", lax.clz, WORDS),
    case("leading zeros int", lax.clz, INTS),
    case("logical shift", lambda x: lax.shift_right_logical(x, jnp.int32(3)), INTS),
    case("arithmetic shift", lambda x: lax.shift_right_arithmetic(x, jnp.uint32(3)), WORDS),
    case("not", lambda x: [~x, ~(x > 0)], INTS),
    case("bits", lambda x: lax.bitcast_convert_type(x, jnp.int32), X),
    case("bytes", lambda x: lax.bitcast_convert_type(x, jnp.uint8), X),
    case(
        "from bytes",
        lambda x: lax.bitcast_convert_type(lax.bitcast_convert_type(x, jnp.uint8), jnp.float32),
        X,
        gradient=False,
    ),
    case("select", lambda i, a, b, c: lax.select_n(jnp.clip(i, 0, 2), a, b, c), INTS, X, Y, POSITIVE),
    case("where", lambda a, b: jnp.where(a > 0, a, b), X, Y),
    case("to int", lambda x: x.astype(jnp.int32), X * 3),
    case("to bool", lambda x: x.astype(bool), INTS),
    case("to bfloat16", lambda x: x.astype(jnp.bfloat16), X, gradient=False),
    case("reduce precision", lambda x: lax.reduce_precision(x, 8, 7), X, gradient=False),
    case("reduce precision to itself", lambda x: lax.reduce_precision(x, 8, 23), X),
    case("complex", lambda a, b: jnp.abs(lax.complex(a, b) * jnp.conj(lax.complex(b, a))), X, Y),
    case("parts", lambda a, b: [jnp.real(lax.complex(a, b)), jnp.imag(lax.complex(a, b))], X, Y),
    case("tests", lambda x: [jnp.isfinite(x), jnp.isnan(x), jnp.isinf(x), jnp.signbit(x)], AWKWARD),
    case("awkward", lambda x: [jnp.maximum(x, 0.0), jnp.sign(x), jax.nn.relu(x)], AWKWARD, gradient=False),
    case("total order", lambda x: lax.sort(x), AWKWARD[[0, 1, 3, 4]]),
    case("incomplete gamma", jax.scipy.special.gammainc, POSITIVE, np.abs(Y) + 0.1, tol=1e-4),
    case("incomplete beta", jax.scipy.special.betainc, POSITIVE, POSITIVE, np.abs(INSIDE), gradient=False),
    case("one hot", lambda i: jax.nn.one_hot(i, 5), INTS),
    case("stop gradient", lambda x: lax.stop_gradient(x) * x, X),
    case("relu at zero", jax.nn.relu, np.zeros(3, np.float32)),
]


@pytest.mark.parametrize(("name", "fn", "arrays", "options"), TABLE, ids=[row[0] for row in TABLE])
def test_other_function(name, fn, arrays, options):
    agree(fn, *arrays, **options)
