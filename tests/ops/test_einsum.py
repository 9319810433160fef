"""Einstein summation against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.interpret import evaluate
from graphflow.ops.declare import placeholder
from graphflow.ops.einsum import einsum
from tests.ops.symbolic import run

SIZES = {"b": 2, "h": 3, "i": 4, "j": 5, "k": 6, "A": 2}


@pytest.mark.parametrize(
    "subscripts",
    [
        "ij,jk->ik", "ij,jk", "ij,jk->ki", "ij->ji", "ij->", "ij->j", "ij", "i,i->", "i,j->ij", "i,i->i",
        "bhik,bhjk->bhij", "bij,bjk->bik", "bij,kj->bki", "ij,ij->i", "ij,k->", "ij,jk,k->i", "i,ij,j",
        "bij,b->ij", "ijk->kij", "ij, jk -> ik", "kj,ib->bikj", "Ab,bA", "i->i", "ij,b->i",
    ],
)  # fmt: skip
def test_einsum_is_that_of_numpy(subscripts: str, rng) -> None:
    terms = subscripts.replace(" ", "").split("->")[0].split(",")
    arrays = [rng.normal(size=[SIZES[label] for label in term]) for term in terms]
    (value,) = evaluate([einsum(subscripts, *arrays)])
    expected = np.einsum(subscripts, *arrays)
    assert value.shape == expected.shape
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("...ij,...jk->...ik", [(2, 3, 4, 5), (3, 5, 6)]),
        ("...ij,jk", [(7, 4, 5), (5, 6)]),
        ("...i->i...", [(2, 3, 4)]),
        ("i...,i...->...", [(4, 2, 1), (4, 1, 3)]),
        ("...,...", [(), (2, 3)]),
        ("...i,...i->...", [(1, 4), (5, 4)]),
    ],
)
def test_ellipses_broadcast(subscripts: str, shapes, rng) -> None:
    arrays = [rng.normal(size=shape) for shape in shapes]
    (value,) = evaluate([einsum(subscripts, *arrays)])
    np.testing.assert_allclose(value, np.einsum(subscripts, *arrays), rtol=1e-12, atol=1e-12)


def test_attention_of_symbolic_sizes_is_one_product_with_gradients(rng) -> None:
    q, k = placeholder("q", ("b", "t", 2, 4)), placeholder("k", ("b", "s", 2, 4))
    before = len(q.graph)
    scores = einsum("bthd,bshd->bhts", q, k)
    assert scores.shape == (Dim("b"), 2, Dim("t"), Dim("s"))
    assert [node.op.name for node in q.graph.nodes[before:]].count("matmul") == 1
    grads = gradients([scores * scores], [q, k])
    fed = {q: rng.normal(size=(3, 5, 2, 4)), k: rng.normal(size=(3, 6, 2, 4))}
    fed = {tensor: array.astype(np.float32) for tensor, array in fed.items()}
    value, of_q, of_k = run([scores, *grads], fed, b=3, t=5, s=6)
    expected = np.einsum("bthd,bshd->bhts", fed[q], fed[k])
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(of_q, 2 * np.einsum("bhts,bshd->bthd", expected, fed[k]), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(of_k, 2 * np.einsum("bhts,bthd->bshd", expected, fed[q]), rtol=1e-3, atol=1e-4)


def test_integers_stay_integers() -> None:
    x = np.arange(6, dtype=np.int32).reshape(2, 3)
    for subscripts in ("ij->i", "ij,kj->ik", "ij,kj->"):
        operands = [x] * (subscripts.count(",") + 1)
        (value,) = evaluate([einsum(subscripts, *operands)])
        expected = np.einsum(subscripts, *operands)
        assert value.dtype == np.int32
        np.testing.assert_array_equal(value, expected)


def test_a_matrix_product_moves_no_axes() -> None:
    x, y = placeholder("x", (2, 3)), placeholder("y", (3, 4))
    before = len(x.graph)
    einsum("ij,jk->ik", x, y)
    assert [node.op.name for node in x.graph.nodes[before:]] == ["matmul"]


@pytest.mark.parametrize(
    ("subscripts", "shapes", "error", "message"),
    [
        ("ii->i", [(3, 3)], AttributeValueError, "twice"),
        ("ij,jk->ik", [(2, 3), (4, 5)], ShapeError, "'j' has sizes 3 and 4"),
        ("ij->ik", [(2, 3)], AttributeValueError, "'k'"),
        ("ij->ii", [(2, 3)], AttributeValueError, "twice"),
        ("ij,j", [(2, 3)], AttributeValueError, "2 operands"),
        ("i", [(2, 3)], AttributeValueError, "rank 2"),
        ("ijk", [(2, 3)], AttributeValueError, "rank 2"),
        ("i?", [(2, 3)], AttributeValueError, "cannot read"),
        ("......", [(2, 3)], AttributeValueError, "cannot read"),
        ("i1", [(2, 3)], AttributeValueError, "cannot read"),
    ],
)
def test_bad_subscripts_are_refused(subscripts: str, shapes, error, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        einsum(subscripts, *[np.zeros(shape) for shape in shapes])
    assert "test_einsum.py" in str(caught.value)


def test_what_is_no_string_is_refused() -> None:
    with pytest.raises(AttributeValueError):
        einsum(np.zeros(3), np.zeros(3))
    with pytest.raises(AttributeValueError):
        einsum("i")
