"""The jax backend's products of few rows: where the pass is, and that XLA keeps the weights on the left."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest

import graphflow as gf
from graphflow.runtime.jax.backend import JaxBackend
from graphflow.runtime.jax.lowering import LOWERINGS


def test_the_pipelines_transpose_weights_on_the_cpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = JaxBackend()
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    found = {level: "product-layout" in backend.pipeline(level) for level in ("O0", "O1", "O2", "O3")}
    assert found == {"O0": False, "O1": False, "O2": True, "O3": True}
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "product-layout" not in backend.pipeline("O3")


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="of XLA's compiler for the CPU")
def test_the_weights_stay_on_the_left() -> None:
    x, w = np.ones((2, 4, 96), np.float32), np.ones((160, 96), np.float32)
    text = jax.jit(LOWERINGS["matmul_transposed"]).lower(x, w).compile().as_text()
    (shape,) = re.findall(r"= f32\[([\d,]+)\]\S* dot\(", text)
    assert shape == "160,8"


@pytest.mark.parametrize("shape", [(96,), (1, 96), (2, 3, 96), (0, 96)])
def test_products_are_right(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(6)
    x, w = rng.standard_normal(shape, np.float32), rng.standard_normal((40, 96), np.float32)
    made = jax.jit(LOWERINGS["matmul_transposed"])(x, w)
    np.testing.assert_allclose(made, x.astype(np.float64) @ w.T, rtol=1e-4, atol=1e-5)


def test_a_tied_table_is_multiplied_by_as_it_lies() -> None:
    table = np.random.default_rng(7).standard_normal((4100, 64)).astype(np.float32)
    token = gf.placeholder("token", (3,), gf.int32)
    held = gf.constant(table)
    h = gf.take(held, token, axis=0)
    y = gf.matmul(h, gf.permute_dims(held, (1, 0)))
    with gf.Session(level="O2", exclude=["product_in_panels"]) as session:
        made = session.run(y, {token: np.array([5, 0, 4099], np.int32)})
        entries = session.explain(y, [token]).journal.entries
    assert "transposed_weights" in {one.rule for one in entries}
    wanted = table[[5, 0, 4099]].astype(np.float64) @ table.T
    np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-4)
