"""StableHLO: what JAX makes of the bytes by itself is what the model answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import BackendError, GraphError, SessionError


def model() -> gf.Model:
    with gf.Graph("small"):
        # Names whose order is not that of the arguments, a large constant, dropout, a 64-bit input.
        z, a = gf.placeholder("z", ("batch", 3)), gf.placeholder("a", (2,), dtype=gf.int64)
        w = gf.variable("w", (3, 2), initializer=np.arange(6, dtype=np.float32).reshape(3, 2))
        b = gf.variable("b", (2,), initializer=gf.initializers.ones())
        table = gf.constant(np.linspace(0, 1, 4000, dtype=np.float32))
        y = gf.matmul(gf.layers.dropout(z, 0.5), w) + b * gf.sum(table)
        return gf.Model(inputs=[z, a], outputs={"y": y, "c": a * 2})


def called(content: bytes, weights: dict, inputs: dict) -> dict:
    import jax.export

    with jax.enable_x64(True):
        return jax.export.deserialize(bytearray(content)).call(weights, inputs)


def test_jax_runs_it_without_graphflow(tmp_path: Path) -> None:
    made = model()
    content = gf.saved_model.stablehlo(made, sizes={"batch": 4}, platforms=("cpu", "cuda"))
    inputs = {"z": np.arange(12, dtype=np.float32).reshape(4, 3), "a": np.array([2**40, -1])}
    found, expected = called(content, made.weights, inputs), made.run(inputs, "numpy")
    assert found["c"].dtype == np.int64 and found["c"].tolist() == [2**41, -2]
    np.testing.assert_allclose(found["y"], expected["y"], rtol=1e-5)
    place = gf.saved_model.save(tmp_path / "m", made, exports={"m.stablehlo": content})
    assert gf.saved_model.load(place).exports["m.stablehlo"] == content


def test_it_is_made_where_all_sizes_are_known(tmp_path: Path) -> None:
    with gf.Graph():
        x = gf.placeholder("x", (2,))
        fixed = gf.Model(inputs=[x], outputs={"y": gf.exp(x)})
    place = gf.saved_model.save(tmp_path / "m", fixed, exports={"m.stablehlo": None})
    assert called((place / "m.stablehlo").read_bytes(), {}, {"x": np.zeros(2, np.float32)})["y"].tolist() == [
        1,
        1,
    ]
    with pytest.raises(SessionError, match="sizes are batch, and given are none"):
        gf.saved_model.save(tmp_path / "n", model(), exports={"m.stablehlo": None})
    with pytest.raises(SessionError, match="all known, and given are batch"):
        gf.saved_model.stablehlo(fixed, sizes={"batch": 3})
    assert not (tmp_path / "n").exists()


def test_what_cannot_be_exported() -> None:
    with gf.Graph():
        x = gf.placeholder("x", (2,))
        noisy = gf.Model(inputs=[x], outputs={"y": x + gf.random.normal((2,))})
        plain = gf.Model(inputs=[x], outputs={"y": gf.exp(x)})
    with pytest.raises(SessionError, match="draws random numbers"):
        gf.saved_model.stablehlo(noisy)
    for platforms in (("cpu", "abacus"), ()):
        with pytest.raises(BackendError, match=r"no platform 'abacus'|needs a platform"):
            gf.saved_model.stablehlo(plain, platforms=platforms)
    with pytest.raises(GraphError, match="no signature 'other'"):
        gf.saved_model.stablehlo(plain, signature="other")
