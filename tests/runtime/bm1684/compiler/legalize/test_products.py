"""Products of matrices on the chip, in every form they can take, against the reference."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract
from graphflow.runtime.bm1684.compiler.layers.attention import BatchedProduct
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.layer import TransferLayer
from graphflow.runtime.bm1684.compiler.layers.movement import Heads, Turned
from graphflow.runtime.bm1684.compiler.layers.product import RowProduct
from graphflow.runtime.bm1684.compiler.legalize import Legalizer
from tests.runtime.bm1684.compiler.legalize.comparing import assert_close

SIZES = [(1, 64, 10), (3, 130, 65), (17, 63, 33), (70, 65, 130), (130, 1, 3)]


def draw(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


@pytest.mark.parametrize("rows,inner,columns", SIZES)
def test_constant_weights_from_the_right(rows, inner, columns):
    w, b = draw(inner, columns), draw(columns)
    assert_close(lambda x: gf.nn.relu(gf.matmul(x, w) + b), (rows, inner))
    assert_close(lambda x: gf.matmul(x, w) + b, (3, rows, inner))


@pytest.mark.parametrize("rows,inner,columns", SIZES)
def test_constant_weights_from_the_left(rows, inner, columns):
    w, b = draw(columns, inner), draw(columns, 1)
    assert_close(lambda x: gf.matmul(w, x) + b, (3, inner, rows))
    assert_close(lambda x: gf.matmul(w, x), (inner, rows))


@pytest.mark.parametrize("rows,inner,columns", SIZES)
def test_two_activations(rows, inner, columns):
    assert_close(gf.matmul, (3, rows, inner), (3, inner, columns))
    assert_close(gf.matmul, (2, 3, rows, inner), (inner, columns))


def test_vectors():
    assert_close(lambda x: gf.matmul(x, draw(20)), (5, 20))
    assert_close(gf.matmul, (20,), (20,))


def test_rows_of_more_elements_than_there_are_channels():
    assert_close(lambda x: gf.matmul(x, draw(5000, 10)), (2, 5000))


def test_a_bias_by_column_is_no_bias_by_row():
    assert_close(lambda x: gf.matmul(draw(20, 20), x) + draw(20), (20, 20))


def test_einsum_through_permutations():
    assert_close(lambda q, k: gf.einsum("bqhd,bkhd->bhqk", q, k), (2, 5, 3, 4), (2, 6, 3, 4))


def mixing(x, heads, size, causal=False):
    """Attention without its softmax."""
    batch, rows, features = (int(one) for one in x.shape)

    def cut(seed, bias=None):
        weights = np.random.default_rng(seed).normal(0, 0.2, (features, heads * size))
        made = gf.matmul(x, weights.astype(np.float32))
        made = gf.reshape(made + bias if bias is not None else made, (batch, rows, heads, size))
        return gf.permute_dims(made, (0, 2, 1, 3))

    scores = gf.matmul(cut(1) * 0.3, gf.permute_dims(cut(2, draw(heads * size)), (0, 1, 3, 2)))
    mixed = gf.permute_dims(gf.matmul(scores, cut(3)), (0, 2, 1, 3))
    return gf.reshape(mixed, (batch, rows, heads * size))


@pytest.mark.parametrize(
    "batch,rows,heads,size", [(1, 20, 4, 8), (3, 7, 2, 10), (1, 70, 2, 64), (2, 5, 3, 5), (1, 9, 1, 7)]
)
def test_heads_of_attention(batch, rows, heads, size):
    assert_close(lambda x: mixing(x, heads, size), (batch, rows, 24))


def test_heads_are_read_where_they_lie():
    with gf.Graph():
        x = gf.placeholder("x", (1, 197, 96))
        y = mixing(x, 3, 32)
    legalizer = Legalizer()
    legalizer.run(optimize(extract([y], feeds=[x], training=False), "O2"))
    kinds = [type(layer) for layer in legalizer.layers]
    assert not legalizer.refusals
    assert not any(issubclass(kind, TransferLayer) for kind in kinds)
    assert {kind: kinds.count(kind) for kind in (Turned, Convolution, RowProduct, BatchedProduct, Heads)} == {
        Turned: 1,
        Convolution: 1,
        RowProduct: 2,
        BatchedProduct: 2,
        Heads: 1,
    }


def test_keys_that_are_read_twice_are_kept():
    def build(x):
        heads = gf.permute_dims(gf.reshape(x, (1, 6, 2, 4)), (0, 2, 1, 3))
        return gf.matmul(heads, gf.permute_dims(heads, (0, 1, 3, 2)))

    assert_close(build, (1, 6, 8))
