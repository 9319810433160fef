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


@pytest.mark.parametrize("rows,inner,columns", [(2, 5000, 10), (1, 4033, 70), (3, 20, 4100)])
def test_rows_of_more_elements_than_there_are_channels(rows, inner, columns):
    w, b = draw(inner, columns), draw(columns)
    assert_close(lambda x: gf.nn.relu(gf.matmul(x, w) + b), (rows, inner))


def test_rows_of_more_elements_than_the_data_mover_takes():
    w = draw(66_000, 3)
    assert_close(lambda x: gf.matmul(x, w), (1, 66_000), tolerance=1e-4)


def legal(build, shape):
    """The layers of what is made of a placeholder."""
    with gf.Graph():
        x = gf.placeholder("x", shape)
        y = build(x)
    legalizer = Legalizer()
    legalizer.run(optimize(extract([y], feeds=[x], training=False), "O2"))
    assert not legalizer.refusals
    return legalizer.layers


@pytest.mark.parametrize(
    "shape",
    [
        (1, 128, 6, 6),
        (2, 70, 8, 9),
        (3, 6, 4, 5),
        (1, 1, 40, 40),
        (2, 65, 7, 1),
        (1, 16, 65, 70),
        (1, 2, 100, 90),
    ],
)
def test_flattened_images_are_read_under_a_kernel_of_their_size(shape):
    w, b = draw(int(np.prod(shape[1:])), 33), draw(33)
    assert_close(lambda x: gf.matmul(gf.flatten(gf.nn.relu(x)), w) + b, shape)


def test_a_dense_layer_behind_an_image_has_it_in_local_memory_and_its_weights_in_long_runs():
    w, b = draw(128 * 36, 10), draw(10)
    (made,) = legal(lambda x: gf.matmul(gf.flatten(x), w) + b, (1, 128, 6, 6))
    assert isinstance(made, Convolution) and made.weights.shape == (10, 128, 6, 6)
    assert made.inputs[0].alias is None and made.bias is not None
    np.testing.assert_array_equal(made.weights.reshape(10, -1).T, w)
    (single,) = legal(lambda x: gf.matmul(gf.flatten(x), draw(400, 3)), (1, 1, 20, 20))
    assert single.weights.shape == (3, 400, 1, 1)  # one channel would have a pair's weights loaded


def test_the_same_number_for_all_columns_is_a_bias():
    (made,) = legal(lambda x: gf.nn.relu(gf.matmul(x, draw(20, 5)) + np.float32(0.5)), (2, 20))
    assert made.relu and made.bias.tolist() == [0.5] * 5


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
