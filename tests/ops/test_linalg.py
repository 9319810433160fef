"""Products, diagonals and norms against NumPy and SciPy; gradients of every rank of matmul."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, GraphFlowError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.interpret import evaluate
from graphflow.ops import linalg
from graphflow.ops.declare import constant, placeholder
from graphflow.ops.linalg import diagonal, diagonal_matrix, matmul
from tests.ops.symbolic import run

N, K = Dim("n"), Dim("k")


@pytest.mark.parametrize(
    ("left", "right", "product"),
    [
        ((N, K), (K, 3), (N, 3)),
        ((K,), (K, 3), (3,)),
        ((N, K), (K,), (N,)),
        ((K,), (K,), ()),
        (("b", 1, N, 4), (5, 4, K), (Dim("b"), 5, N, K)),
        (("b", N, 4), ("b", 4, 2), (Dim("b"), N, 2)),
    ],
)
def test_matmul_of_symbolic_sizes(left, right, product, rng) -> None:
    x, y = placeholder("x", left), placeholder("y", right)
    z = matmul(x, y)
    assert z.shape == product
    sizes = {"n": 2, "k": 3, "b": 6}
    real = [
        tuple(sizes[str(s)] if isinstance(s, (Dim, str)) else s for s in shape) for shape in (left, right)
    ]
    fed = [rng.normal(size=shape).astype(np.float32) for shape in real]
    needed = {name for name in sizes if any(name == str(size) for shape in (left, right) for size in shape)}
    grads = gradients([z], [x, y])
    values = run([z, *grads], {x: fed[0], y: fed[1]}, **{name: sizes[name] for name in needed})
    np.testing.assert_allclose(values[0], np.matmul(*fed), rtol=1e-5)
    expected = jax.grad(lambda *pair: jax.numpy.matmul(*pair).sum(), argnums=(0, 1))(*fed)
    for ours, theirs in zip(values[1:], expected):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_matmul_says_what_does_not_fit() -> None:
    x, w = placeholder("x", ("batch", 64)), placeholder("w", (32, 10))
    with pytest.raises(
        ShapeError, match=r"last axis of x to equal the second-to-last axis of y, but 64 != 32"
    ) as e:
        matmul(x, w)
    assert "float32[batch, 64]" in str(e.value) and "test_linalg.py" in str(e.value)
    for pair in [(constant(1.0), w), (w, constant(1.0))]:
        with pytest.raises(ShapeError):
            matmul(*pair)
    with pytest.raises(ShapeError, match="broadcast"):
        matmul(placeholder("a", (2, 3, 4)), placeholder("b", (5, 4, 3)))
    with pytest.raises(DTypeError):
        matmul([[True]], [[True]])


def test_integer_products_wrap_as_in_numpy() -> None:
    x = np.full((2, 300), 127, np.int8)
    (value,) = evaluate([matmul(x, x.T)])
    assert value.dtype == np.int8
    np.testing.assert_array_equal(value, x @ x.T)


def test_diagonals_of_symbolic_sizes(rng) -> None:
    x = placeholder("x", (N, K))
    y = diagonal(x, 1)
    (g,) = gradients([y * 3.0], [x])
    for n, k in [(3, 5), (5, 3), (2, 1), (0, 4)]:
        data = rng.normal(size=(n, k)).astype(np.float32)
        value, gradient = run([y, g], {x: data}, n=n, k=k)
        np.testing.assert_array_equal(value, np.diagonal(data, 1))
        np.testing.assert_array_equal(gradient, 3 * np.eye(n, k, 1))


@pytest.mark.parametrize("offset", [2**40, -(2**40), 2**70, -(2**70), 3, -2])
def test_diagonals_far_outside_are_empty(offset: int) -> None:
    made, back = evaluate([diagonal(np.ones((2, 3)), offset), diagonal_matrix(np.ones((0,)), 2, 3, offset)])
    assert made.shape == (0,)
    np.testing.assert_array_equal(back, np.zeros((2, 3)))


def test_a_matrix_has_no_negative_size() -> None:
    with pytest.raises(ShapeError, match="cannot have -4 rows"):
        diagonal_matrix(np.ones((0,)), -4, 3)


def test_diagonals_refuse() -> None:
    for make in (
        lambda: diagonal(constant([1.0])),
        lambda: diagonal(np.zeros((2, 2)), 0.5),
        lambda: diagonal_matrix(constant(1.0), 1, 1),
        lambda: diagonal_matrix([1.0, 2.0], 3, 3),
        lambda: diagonal_matrix([1.0, 2.0], 2, 2, offset=1),
    ):
        with pytest.raises(GraphFlowError):
            make()


def test_composites_are_those_of_numpy(rng) -> None:
    a, b, v = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 3, 5)), rng.normal(size=4)
    cases = [
        (linalg.matrix_transpose(a), a.swapaxes(1, 2)),
        (linalg.vecdot(a, v), a @ v),
        (linalg.vecdot(a, a, axis=0), (a * a).sum(0)),
        (linalg.vecdot(a, a[0], axis=-2), (a * a[0]).sum(-2)),
        (linalg.outer(v, b[0, 0]), np.outer(v, b[0, 0])),
        (linalg.tensordot(a, b, axes=((1, 2), (1, 0))), np.tensordot(a, b, axes=((1, 2), (1, 0)))),
        (linalg.tensordot(a, b, axes=1), np.tensordot(a, b, axes=1)),
        (linalg.tensordot(v, v, axes=0), np.tensordot(v, v, axes=0)),
        (linalg.tensordot(a, b, axes=((-1,), (0,))), np.tensordot(a, b, axes=1)),
        (linalg.trace(a, 1), np.trace(a, 1, 1, 2)),
        (linalg.vector_norm(a), np.linalg.norm(a.ravel())),
        (linalg.vector_norm(a, axis=-1, keepdims=True), np.linalg.norm(a, axis=-1, keepdims=True)),
        (linalg.vector_norm(v, ord=1), np.linalg.norm(v, 1)),
        (linalg.vector_norm(v, ord=3), np.linalg.norm(v, 3)),
        (linalg.vector_norm(v, ord=float("inf")), np.linalg.norm(v, np.inf)),
        (linalg.vector_norm(v, ord=-float("inf")), np.linalg.norm(v, -np.inf)),
        (linalg.vector_norm(a, axis=(0, 2)), np.sqrt((a * a).sum((0, 2)))),
    ]
    for (tensor, expected), value in zip(cases, evaluate([tensor for tensor, _ in cases])):
        assert tensor.shape == expected.shape
        np.testing.assert_allclose(value, expected, rtol=1e-12, err_msg=str(tensor))


def test_vecdot_of_integers_keeps_the_dtype() -> None:
    assert linalg.vecdot([1, 2], [3, 4]).dtype.name == "int32"


def test_the_norm_has_a_gradient_at_zero() -> None:
    x = placeholder("x", (2,))
    (g,) = gradients([linalg.vector_norm(x)], [x])
    (h,) = gradients([g], [x])
    np.testing.assert_array_equal(evaluate([g], {x: np.zeros(2, np.float32)})[0], [0, 0])
    (value, second) = evaluate([g, h], {x: np.array([3.0, 4.0], np.float32)})
    np.testing.assert_allclose(value, [0.6, 0.8], rtol=1e-6)
    np.testing.assert_allclose(second, [0.8 * (0.8 - 0.6) / 5, 0.6 * (0.6 - 0.8) / 5], rtol=1e-4)


def test_composites_refuse() -> None:
    m = constant(np.zeros((2, 3)))
    cases = [
        (lambda: linalg.matrix_transpose([1.0]), ShapeError),
        (lambda: linalg.outer(m, [1.0]), ShapeError),
        (lambda: linalg.vecdot(m, 1.0), ShapeError),
        (lambda: linalg.vecdot(m, [1.0, 2.0, 3.0], axis=0), AttributeValueError),
        (lambda: linalg.tensordot(m, m, axes=3), ShapeError),
        (lambda: linalg.tensordot(m, m, axes=1), ShapeError),
        (lambda: linalg.tensordot(m, m, axes=((0, 1), (0,))), AttributeValueError),
        (lambda: linalg.tensordot(m, m, axes="ij,jk"), AttributeValueError),
        (lambda: linalg.vector_norm(m, ord=True), AttributeValueError),
        (lambda: linalg.vector_norm(m, ord=float("nan")), AttributeValueError),
        (lambda: linalg.vector_norm(m, axis=5), AttributeValueError),
    ]
    for make, error in cases:
        with pytest.raises(error) as caught:
            make()
        assert "test_linalg.py" in str(caught.value)
