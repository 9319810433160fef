"""Products, convolutions, pooling, linear algebra, and Fourier transforms of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests.runtime.from_jax_cases import agree, case, normal

X, Y, Z = normal(3, 4), normal(3, 4, seed=1), normal(2, 3, 4)
INTS = np.random.default_rng(0).integers(0, 5, (3, 4)).astype(np.int32)
SMALL = np.random.default_rng(0).integers(-100, 100, (3, 4)).astype(np.int8)
IMAGE, KERNEL, GROUPED = normal(2, 4, 7, 8), normal(6, 4, 3, 3), normal(6, 2, 3, 3)
SQUARE = normal(4, 4)
POSITIVE = (SQUARE @ SQUARE.T + 4 * np.eye(4)).astype(np.float32)
SAME = (1, 1, 2, 2)

PRODUCTS = [
    case("matmul", lambda x, y: [x @ y.T, x @ y[0], x[0] @ y.T, jnp.dot(x[0], y[0])], X, Y),
    case("batched", lambda z: [z @ jnp.swapaxes(z, 1, 2), jnp.einsum("bij,bkj->bik", z, z)], Z),
    case("outer", lambda x, y: [jnp.outer(x[0], y[1]), jnp.inner(x, y), jnp.kron(x, y)], X, Y),
    case("tensordot", lambda x, y: [jnp.tensordot(x, y, ([0, 1], [0, 1])), jnp.vdot(x, y)], X, Y),
    case("cross", lambda x, y: jnp.cross(x[:, :3], y[:, :3]), X, Y),
    case("einsum", lambda x, z: [jnp.einsum("ij,bij->bi", x, z), jnp.einsum("bij->jb", z)], X, Z),
    case("einsum of many", lambda x, z: jnp.einsum("bij,jk,kl->bil", z, x.T @ x, x.T), X, Z),
    case("einsum to nothing", lambda x: jnp.einsum("ij,kj->", x, x), X),
    case("integers", lambda x: jnp.dot(x, x.T), INTS),
    case("booleans", lambda x: jnp.dot(x > 0, x.T > 0), X),
    case(
        "wider result",
        lambda x: lax.dot_general(x, x, (((1,), (1,)), ((), ())), preferred_element_type=jnp.int32),
        SMALL,
    ),
]


def convolved(x, w, **options):
    return lax.conv_general_dilated(x, w, **{"window_strides": (1, 1), "padding": "SAME", **options})


CONVOLUTIONS = [
    *[
        case(
            f"padding {number}",
            lambda x, w, pad=pad: convolved(x, w, window_strides=(2, 1), padding=pad),
            IMAGE,
            KERNEL,
            tol=1e-4,
        )
        for number, pad in enumerate(["SAME", "VALID", ((1, 2), (0, 1)), ((-1, 0), (1, -2))])
    ],
    case(
        "groups",
        lambda x, w: convolved(x, w, rhs_dilation=(2, 1), feature_group_count=2),
        IMAGE,
        GROUPED,
        tol=1e-4,
    ),
    case("batch groups", lambda x, w: convolved(x, w, batch_group_count=2), IMAGE, KERNEL, tol=1e-4),
    case(
        "channels last",
        lambda x, w: convolved(x, w, dimension_numbers=("NHWC", "HWIO", "NHWC")),
        normal(2, 5, 5, 3),
        normal(3, 3, 3, 4),
        tol=1e-4,
    ),
    case(
        "transposed",
        lambda x, w: lax.conv_transpose(x, w, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")),
        normal(2, 5, 5, 3),
        normal(3, 3, 3, 4),
        tol=1e-4,
    ),
    case(
        "one axis",
        lambda x, w: convolved(x, w, window_strides=(1,)),
        normal(2, 3, 8),
        normal(4, 3, 3),
        tol=1e-4,
    ),
    case("numpy", jnp.convolve, normal(8), normal(3), tol=1e-4),
    case(
        "gradient by JAX",
        jax.grad(
            lambda x, w: jnp.sum(jnp.sin(convolved(x, w, window_strides=(2, 1), feature_group_count=2))),
            (0, 1),
        ),
        IMAGE,
        GROUPED,
        tol=1e-4,
        gradient=False,
    ),
]


def largest(x, window=(1, 1, 2, 3), strides=SAME, padding="SAME", **options):
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, padding, **options)


POOLING = [
    case("max", largest, IMAGE),
    case("max, channels last", lambda x: largest(x, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"), normal(2, 6, 6, 3)),
    case("max of one axis", lambda x: largest(x, (1, 2), (1, 1)), X),
    case("max gradient by JAX", jax.grad(lambda x: jnp.sum(jnp.sin(largest(x)))), IMAGE),
    case(
        "max along",
        lambda x, t: jax.jvp(largest, (x,), (t,))[1],
        IMAGE,
        normal(2, 4, 7, 8, seed=1),
        gradient=False,
    ),
    case("max dilated", lambda x: largest(x, (2, 3), (1, 2), ((1, 3), (0, 4)), base_dilation=(2, 1)), X),
    case("min", lambda x: lax.reduce_window(x, jnp.inf, lax.min, (2, 2), (1, 1), "SAME"), X),
    case("min of integers", lambda x: lax.reduce_window(x, 99, lax.min, (2, 2), (1, 1), "VALID"), INTS),
    case("sum", lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 1, 2, 3), SAME, "SAME"), IMAGE),
    case(
        "sum of integers",
        lambda x: lax.reduce_window(
            x, 0, lax.add, (2, 3), (1, 2), ((1, 3), (0, 4)), base_dilation=(2, 1), window_dilation=(1, 2)
        ),
        INTS,
    ),
]


def rebuilt(parts):
    left, values, right = parts
    return (left * values) @ right


ALGEBRA = [
    case("cholesky", jnp.linalg.cholesky, POSITIVE, tol=1e-3),
    case("inverse", jnp.linalg.inv, POSITIVE, tol=1e-3),
    case("solve", jnp.linalg.solve, SQUARE, normal(4), tol=1e-3),
    case(
        "solve many",
        jnp.linalg.solve,
        normal(2, 4, 4) + 3 * np.eye(4, dtype=np.float32),
        normal(2, 4, 3),
        tol=1e-3,
    ),
    case("determinant", jnp.linalg.det, SQUARE, tol=1e-3),
    case("log determinant", jnp.linalg.slogdet, SQUARE, tol=1e-3),
    case("lu", jax.scipy.linalg.lu, normal(4, 3), tol=1e-3),
    case("lu of wide", lambda x: lax.linalg.lu(x), normal(2, 3, 4), tol=1e-3, gradient=False),
    case("eigenvalues", jnp.linalg.eigvalsh, POSITIVE, tol=1e-3),
    case("eigh", lambda x: (lambda w, v: (v * w) @ v.T)(*jnp.linalg.eigh(x)), POSITIVE, tol=1e-3),
    case("eig", lambda x: jnp.sort(jnp.abs(jnp.linalg.eigvals(x))), SQUARE, tol=1e-3, gradient=False),
    case("singular values", lambda x: jnp.linalg.svd(x, compute_uv=False), X, tol=1e-3),
    case("svd", lambda x: rebuilt(jnp.linalg.svd(x, full_matrices=False)), X, tol=1e-3),
    case("qr", lambda x: jnp.abs(jnp.linalg.qr(x)[1]), POSITIVE, tol=1e-3),
    case("pseudoinverse", jnp.linalg.pinv, X, tol=1e-3),
    case("norms", lambda x: [jnp.linalg.norm(x), jnp.linalg.norm(x, ord=2)], X, tol=1e-3),
    case("exponential", lambda x: jax.scipy.linalg.expm(x * 0.1), SQUARE, tol=1e-3, gradient=False),
    case("power", lambda x: jnp.linalg.matrix_power(x, 3), SQUARE, tol=1e-3),
    case(
        "least squares",
        lambda x, y: jnp.linalg.lstsq(x, y)[0],
        normal(5, 3),
        normal(5),
        tol=1e-3,
        gradient=False,
    ),
    case(
        "triangular",
        lambda a, y: [
            jax.scipy.linalg.solve_triangular(a, y, lower=True, trans=1),
            jax.scipy.linalg.solve_triangular(a, y, unit_diagonal=True),
            lax.linalg.triangular_solve(a, y.T, left_side=False, lower=True),
        ],
        POSITIVE,
        normal(4, 2),
        tol=1e-3,
    ),
    case(
        "fft",
        lambda x: [jnp.abs(jnp.fft.fft(x)), jnp.abs(jnp.fft.fft2(x)), jnp.real(jnp.fft.ifft(x))],
        X,
        tol=1e-4,
    ),
    case(
        "real fft", lambda x: [jnp.fft.irfft(jnp.fft.rfft(x)), jnp.fft.irfft2(jnp.fft.rfft2(x))], X, tol=1e-4
    ),
]

TABLE = [*PRODUCTS, *CONVOLUTIONS, *POOLING, *ALGEBRA]


@pytest.mark.parametrize(("name", "fn", "arrays", "options"), TABLE, ids=[row[0] for row in TABLE])
def test_function(name, fn, arrays, options):
    agree(fn, *arrays, **options)
