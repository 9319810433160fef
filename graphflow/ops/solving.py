"""Linear systems, inverses and determinants of matrices (family factorization).

A singular matrix has no solution and no inverse: what it gives is NaN or infinite, on every target.
"""

from __future__ import annotations

import numpy as np

from graphflow.errors import ShapeError
from graphflow.ir import dims
from graphflow.ir.opdef import op
from graphflow.ops import matrices as m
from graphflow.ops.inference import broadcast_shapes, real_number, show
from graphflow.ops.linalg import transposed
from graphflow.ops.shape import sum_to

# Systems


def _system(types, operation):
    """The matrices of a system, and the batch of its solution."""
    x, right = m.square(types[0], operation), types[1].shape
    if not right:
        raise ShapeError(f"{operation} needs right-hand sides, not a scalar", hint="gf.reshape(y, (1,))")
    size = right[0] if len(right) == 1 else right[-2]
    if dims.unify(x.rows, size) is None:
        raise ShapeError(
            f"{operation} needs as many right-hand rows as the matrices have, but {size} != {x.rows} in "
            f"shapes {show(types[0].shape)} and {show(right)}",
            hint="the right-hand side is [..., n, k], or a vector [n]",
        )
    return x._replace(batch=broadcast_shapes(x.batch, right[:-2]))


def _solve_type(types, attrs):
    x = _system(types, "solve")
    return (x.of(*((x.rows,) if types[1].rank == 1 else (x.rows, types[1].shape[-1]))),)


@op("factorization", infer=_solve_type, promotion="float64")
def solve(x, y, /):
    """The solution Z of linear systems X Z = Y; leading axes broadcast.

    Arguments:
        x: matrices [..., n, n].
        y: right-hand sides, the columns of [..., n, k]; or one vector [n].

    Array API `linalg.solve`; gradient: Giles, Collected matrix derivative results, 2008.

    >>> import graphflow as gf
    >>> gf.linalg.solve(gf.placeholder("x", ("batch", 3, 3)), gf.zeros((3, 5))).type
    float32[batch, 3, 5]
    """
    if y.ndim == 1:
        return m.or_nan(np.linalg.solve, x, y[:, None])[..., 0]
    return m.or_nan(np.linalg.solve, x, y)


@solve.gradient
def _(b, node, g):
    x, y = node.inputs
    result = node.output
    if y.ndim == 1:
        g, result = (b.expand_dims(tensor, axis=-1) for tensor in (g, result))
    back = b.solve(transposed(b, x), g)
    return [
        lambda: sum_to(b, b.negative(b.matmul(back, transposed(b, result))), x.shape),
        lambda: sum_to(b, back if y.ndim > 1 else b.squeeze(back, axis=-1), y.shape),
    ]


def _triangular_type(types, attrs):
    x = _system(types, "solve_triangular")
    if types[1].rank < 2:
        raise ShapeError(f"triangular_solve needs matrices [..., n, k], but got {show(types[1].shape)}")
    return (x.of(x.rows, types[1].shape[-1]),)


def _triangle(x, upper, unit_diagonal):
    made = np.triu(x) if upper else np.tril(x)
    if unit_diagonal:
        np.einsum("...ii->...i", made)[...] = 1
    return made


@op("factorization", infer=_triangular_type, promotion="float64")
def triangular_solve(x, y, /, upper=False, unit_diagonal=False):
    """The solution Z of triangular systems X Z = Y; of X the other triangle is not read.

    Arguments:
        x: matrices [..., n, n].
        y: right-hand sides, the columns of [..., n, k]; leading axes broadcast.
        upper: X is the upper triangle instead of the lower.
        unit_diagonal: take the diagonal to be 1, and do not read it either.

    `scipy.linalg.solve_triangular`; gradient as of `solve`.

    >>> import graphflow as gf
    >>> from graphflow.ops.solving import triangular_solve
    >>> triangular_solve(gf.placeholder("x", ("batch", 3, 3)), gf.zeros((3, 5))).type
    float32[batch, 3, 5]
    """
    return m.or_nan(np.linalg.solve, _triangle(x, upper, unit_diagonal), y)


@triangular_solve.gradient
def _(b, node, g):
    (x, y), upper, unit = node.inputs, node.attrs["upper"], node.attrs["unit_diagonal"]
    back = b.triangular_solve(transposed(b, x), g, upper=not upper, unit_diagonal=unit)

    def to_matrix():
        slope = b.negative(b.matmul(back, transposed(b, node.output)))
        return sum_to(b, m.triangle(b, slope, upper=upper, strict=unit), x.shape)

    return [to_matrix, lambda: sum_to(b, back, y.shape)]


# Inverses


def _inv_type(types, attrs):
    m.square(types[0], "inv")
    return (types[0],)


@op("factorization", infer=_inv_type, promotion="float64")
def inv(x, /):
    """The inverse of square matrices: X Y = Y X = 1. To solve a system, `solve` is faster and more accurate.

    Array API `linalg.inv`; gradient: Giles, Collected matrix derivative results, 2008.

    >>> import graphflow as gf
    >>> gf.linalg.inv(gf.placeholder("x", ("batch", 3, 3))).type
    float32[batch, 3, 3]
    """
    return m.or_nan(np.linalg.inv, x)


@inv.gradient
def _(b, node, g):
    back = transposed(b, node.output)
    return [b.negative(m.product(b, back, g, back))]


def _pinv_attrs(types, attrs):
    given = attrs["rtol"]
    return {"rtol": None if given is None else real_number(given, "rtol of pinv", 0)}


def _pinv_type(types, attrs):
    x = m.matrices(types[0], "pinv")
    return (x.of(x.columns, x.rows),)


def relative_cutoff(shape, dtype) -> float:
    """The share of the largest singular value below which one counts as 0: max(n, m) times the precision."""
    return float(max(shape[-2:]) * np.finfo(dtype).eps)


@op("factorization", infer=_pinv_type, normalize=_pinv_attrs, promotion="float64")
def pinv(x, /, rtol=None):
    """The pseudo-inverse of Moore and Penrose: V diag(1 / s) U^H of X = U diag(s) V^H, and 0 for 1 / 0.

    Arguments:
        x: matrices [..., n, m].
        rtol: singular values at most this share of the largest count as 0; max(n, m) times the
            precision of the dtype by default.

    Array API `linalg.pinv`; gradient: Golub and Pereyra, The differentiation of pseudo-inverses and
    nonlinear least squares problems whose variables separate, 1973.

    >>> import graphflow as gf
    >>> gf.linalg.pinv(gf.placeholder("x", ("batch", 3, 5))).type
    float32[batch, 5, 3]
    """
    share = relative_cutoff(x.shape, x.dtype) if rtol is None else rtol
    return m.or_nan(lambda x: np.linalg.pinv(x, rtol=share), x)


@pinv.gradient
@m.by_conjugates
def _(b, node, g):
    x, y = node.inputs[0], node.output
    y_back, g_back = m.adjoint(b, y), m.adjoint(b, g)
    inside = b.matmul(g_back, y)
    rest = b.matmul(inside, y_back)
    return [
        m.total(
            b,
            [
                b.negative(m.adjoint(b, b.matmul(y, inside))),
                b.subtract(rest, m.product(b, x, y, rest)),
                m.product(b, y_back, y, b.subtract(g_back, b.matmul(inside, x))),
            ],
        )
    ]


# Determinants


def _det_type(types, attrs):
    return (m.square(types[0], "det").of(),)


@op("factorization", infer=_det_type, promotion="float64")
def det(x, /):
    """The determinant of square matrices. Where it could overflow, `slogdet` does not.

    Its gradient, the matrix of cofactors, is right for singular matrices too.
    Array API `linalg.det`; ONNX Det-22.

    >>> import graphflow as gf
    >>> gf.linalg.det(gf.placeholder("x", ("batch", 3, 3))).type
    float32[batch]
    """
    return np.linalg.det(x)


@det.gradient
def _(b, node, g):
    return [b.multiply(b.expand_dims(g, axis=(-2, -1)), transposed(b, b.adjugate(node.inputs[0])))]


def _adjugate_type(types, attrs):
    m.square(types[0], "adjugate")
    return (types[0],)


@op("factorization", infer=_adjugate_type, promotion="float64")
def adjugate(x, /):
    """The transposed cofactors of square matrices: X Y = det(X) 1. They exist for singular matrices too.

    From the singular values of X = U diag(s) V^H: Y = det(U V^H) V diag(prod_(j != i) s_j) U^H.
    Its own gradient divides by det(X), and so needs regular matrices.

    >>> import graphflow as gf
    >>> gf.linalg.adjugate(gf.placeholder("x", ("batch", 3, 3))).type
    float32[batch, 3, 3]
    """
    u, s, vh = m.or_nan(lambda x: tuple(np.linalg.svd(x)), x)
    one = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate([one, s[..., :-1]], -1), -1)
    after = np.cumprod(np.concatenate([one, s[..., :0:-1]], -1), -1)[..., ::-1]
    others = before * after
    made = (m.adjoint_array(vh) * others[..., None, :]) @ m.adjoint_array(u)
    return np.linalg.det(u @ vh)[..., None, None] * made


@adjugate.gradient
def _(b, node, g):
    back, cofactors = transposed(b, b.inv(node.inputs[0])), transposed(b, node.output)
    along = b.sum(b.multiply(g, node.output), axis=(-2, -1), keepdims=True)
    return [b.subtract(b.multiply(along, back), m.product(b, cofactors, g, back))]


def _slogdet_type(types, attrs):
    x = m.square(types[0], "slogdet")
    return x.of(), x.real()


@op("factorization", infer=_slogdet_type, promotion="float64")
def slogdet(x, /):
    """The determinant of square matrices as its sign and the logarithm of its size: det X = s e^l.

    Returns:
        the sign s, -1, 0 or 1 (of complex matrices det X / |det X|), and l, a real number; -inf for 0.

    Array API `linalg.slogdet`.

    >>> import graphflow as gf
    >>> [y.type for y in gf.linalg.slogdet(gf.placeholder("x", ("batch", 3, 3)))]
    [float32[batch], float32[batch]]
    """
    return tuple(np.linalg.slogdet(x))


@slogdet.gradient
def _(b, node, g_sign, g_log):
    x, sign = node.inputs[0], node.outputs[0]
    weight = None if g_log is None else b.astype(g_log, dtype=x.dtype)
    if g_sign is not None and x.dtype.kind == "complex":
        turn = b.imag(b.multiply(g_sign, sign))
        weight = m.total(b, [weight, b.complex(b.full_like(0, turn), turn)])
    if weight is None:
        return [None]
    back = transposed(b, b.inv(x))
    return [b.multiply(b.expand_dims(weight, axis=(-2, -1)), back)]
