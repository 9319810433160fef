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
    with pytest.raises(SessionError, match="no size 'batch'"):
        gf.saved_model.stablehlo(fixed, sizes={"batch": 3})


def test_sizes_stay_symbolic(tmp_path: Path) -> None:
    place = gf.saved_model.save(tmp_path / "m", model(), exports={"m.stablehlo": None})
    content, weights = (place / "m.stablehlo").read_bytes(), model().weights
    for batch in (1, 5):
        inputs = {"z": np.arange(3 * batch, dtype=np.float32).reshape(batch, 3), "a": np.array([1, 2])}
        expected = model().run(inputs, "numpy")["y"]
        np.testing.assert_allclose(called(content, weights, inputs)["y"], expected, rtol=1e-5)


def test_running_sums_along_a_symbolic_size() -> None:
    with gf.Graph():
        x = gf.placeholder("x", ("n", 2))
        made = gf.Model(inputs=[x], outputs={"y": gf.cumulative_sum(x, axis=0)})
    inputs = {"x": np.arange(40, dtype=np.float32).reshape(20, 2)}
    found = called(gf.saved_model.stablehlo(made), {}, inputs)
    np.testing.assert_array_equal(found["y"], np.cumsum(inputs["x"], axis=0))


def test_kernels_of_this_machine_stay_here() -> None:
    rng = np.random.default_rng(0)
    with gf.Graph():
        x = gf.placeholder("x", (2, 40))
        w = gf.constant(rng.standard_normal((40, 48), np.float32))
        made = gf.Model(inputs=[x], outputs={"y": gf.nn.relu(gf.matmul(x, w))})
    packed = gf.optimize(made, pipeline="pack-weights")
    assert "packed_conv" in {node.op.name for node in packed.graph}
    content = gf.saved_model.stablehlo(packed, platforms=("cpu", "cuda"))
    inputs = {"x": rng.standard_normal((2, 40), np.float32)}
    expected = made.run(inputs, "numpy")["y"]
    np.testing.assert_allclose(called(content, packed.weights, inputs)["y"], expected, rtol=1e-4, atol=1e-5)


def network() -> gf.Model:
    with gf.Graph("network"):
        x = gf.placeholder("x", ("batch", 3, 8, 8))
        h = gf.nn.relu(gf.layers.batch_norm(gf.layers.conv(x, 4, 3, padding=1)))
        h = gf.reshape(gf.nn.max_pool(h, 2), (x.shape[0], 16, 4))
        h = h + gf.nn.attention(h, h, h)
        logits = gf.layers.dense(gf.reshape(h, (x.shape[0], 64)), 5)
        top = gf.concat([logits, logits * 2.0], axis=0)
        return gf.Model(inputs=[x], outputs={"y": gf.nn.softmax(logits), "two": top})


def test_a_network_for_any_batch_with_its_weights_inside() -> None:
    made = network()
    content = gf.saved_model.stablehlo(made, inside=True, platforms=("cpu", "cuda"))
    x = np.random.default_rng(0).standard_normal((3, 3, 8, 8)).astype(np.float32)
    found, expected = called(content, {}, {"x": x}), made.run({"x": x}, "numpy")
    for name in ("y", "two"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)


def test_its_gradient() -> None:
    import jax.export

    with gf.Graph():
        x = gf.placeholder("x", ("batch", 2))
        w = gf.variable("w", (2,), initializer=np.array([3.0, -1.0], np.float32))
        made = gf.Model(inputs=[x], outputs={"y": gf.sum(gf.square(x * w), axis=1)})
    content = gf.saved_model.stablehlo(made, gradient=True)
    fed = np.array([[1.0, 2.0], [0.5, -1.0]], np.float32)
    run = jax.export.deserialize(bytearray(content)).call
    share = np.array([1.0, 10.0], np.float32)
    slopes = jax.grad(lambda weights, inputs: (run(weights, inputs)["y"] * share).sum(), (0, 1))
    weights, inputs = slopes(made.weights, {"x": fed})
    g = np.array([[1.0], [10.0]], np.float32)
    np.testing.assert_allclose(inputs["x"], 2 * fed * np.array([9.0, 1.0]) * g, rtol=1e-6)
    np.testing.assert_allclose(weights["w"], (2 * fed**2 * np.array([3.0, -1.0]) * g).sum(0), rtol=1e-6)
    plain = jax.export.deserialize(bytearray(gf.saved_model.stablehlo(made)))
    assert not plain.has_vjp()


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


def test_what_does_not_work_for_symbolic_sizes() -> None:
    with gf.Graph():
        x = gf.placeholder("x", ("batch", 2))
        turned = gf.Model(inputs=[x], outputs={"y": gf.flip(x, axis=0)})
    with pytest.raises(BackendError, match=r"slice") as caught:
        gf.saved_model.stablehlo(turned)
    assert "give their values" in str(caught.value)
    x = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    content = gf.saved_model.stablehlo(turned, sizes={"batch": 2})
    assert called(content, {}, {"x": x})["y"].tolist() == [[3, 4], [1, 2]]
