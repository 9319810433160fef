"""Hidden layers with features on the lanes: when they are, and that they compute the same."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.optimizer.program import extract
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.movement import Turned
from graphflow.runtime.bm1684.compiler.layers.product import RowProduct
from graphflow.runtime.bm1684.compiler.legalize import Legalizer, hidden
from tests.runtime.bm1684.compiler.legalize.comparing import assert_close


def draw(*shape):
    return np.random.default_rng(sum(shape)).normal(0, 0.2, shape).astype(np.float32)


def network(x, inner=48, bias=True, function=gf.nn.relu):
    features = int(x.shape[-1])
    y = gf.matmul(x, draw(features, inner))
    y = function(y + draw(inner) if bias else y)
    y = gf.matmul(y, draw(inner, features + 2))
    return y + draw(features + 2) if bias else y


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(hidden, "_gains", lambda first, second, data: True)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("bias", (True, False))
@pytest.mark.parametrize("batch,rows", [(1, 65), (3, 7)])
def test_the_same_is_computed(bias, batch, rows):
    assert_close(lambda x: network(x, bias=bias), (batch, rows, 33))
    assert_close(lambda x: gf.nn.relu(network(x, bias=bias, function=gf.nn.gelu)), (batch, rows, 33))


@pytest.mark.usefixtures("always")
def test_what_is_added_at_the_end_is_turned_too():
    def before(x):
        y = gf.nn.relu(x)
        return y + network(y * 0.5)[:, :, : int(x.shape[-1])]

    def residual(x):
        y = gf.nn.relu(x)
        return gf.matmul(gf.nn.relu(gf.matmul(y * 0.5, draw(33, 48))), draw(48, 33)) + y

    def itself(x):
        y = gf.nn.relu(x)
        return (y + gf.matmul(gf.nn.relu(gf.matmul(y, draw(33, 48))), draw(48, 33))) * 2.0

    for build in (before, residual, itself):
        assert_close(build, (2, 9, 33))
    assert_close(lambda x, z: network(x) + z, (2, 9, 33), (2, 9, 35))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("rows,inner", [(130, 48), (64, 200), (197, 130)])
def test_a_block_is_one_group_and_its_rows_are_turned_64_at_a_time(rows, inner):
    with gf.Graph():
        x = gf.placeholder("x", (1, rows, 34))
        h = gf.matmul(gf.nn.layer_norm(x, draw(34), draw(34)), draw(34, 34)) + x
        y = gf.matmul(
            gf.nn.gelu(gf.matmul(gf.nn.layer_norm(h, draw(34), draw(34)), draw(34, inner))), draw(inner, 34)
        )
        y = y + h
    fed = np.random.default_rng(0).standard_normal((1, rows, 34), np.float32)
    model = gf.Model(inputs=[x], outputs={"y": y})
    compiled = gf.compile(model)
    (group,) = compiled.stages[0].plan.groups
    stores = [len(step.stores) for step in compiled.stages[0].plan.steps if isinstance(step.layer, Turned)]
    assert len(group.slices) == 1 and sum(stores) >= 2 * -(-rows // 64)
    wanted = model.run({"x": fed}, backend="numpy")["y"]
    np.testing.assert_allclose(compiled.simulate({"x": fed})["y"], wanted, atol=1e-5 * np.abs(wanted).max())


def layers_of(rows, features, inner):
    with gf.Graph():
        x = gf.placeholder("x", (1, rows, features))
        y = network(x, inner)
    legalizer = Legalizer()
    legalizer.run(extract([y], feeds=[x], training=False))
    assert not legalizer.refusals
    return [type(layer) for layer in legalizer.layers]


def test_large_products_of_rows_that_fill_lanes_badly_have_features_there():
    assert layers_of(197, 768, 3072).count(Convolution) == 2
    assert layers_of(256, 768, 3072).count(RowProduct) == 2
    assert layers_of(8, 16, 64).count(RowProduct) == 2
