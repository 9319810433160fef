"""Whole networks that TensorFlow's converter wrote: the same answers, and few permutations left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from tests.io.tflite.oracle import expected

FOLDER = Path(__file__).parent / "networks"


def load(name: str) -> tuple[bytes, gf.Model, np.ndarray]:
    """The file, the model, and something to feed it."""
    content = (FOLDER / f"{name}.tflite").read_bytes()
    model = gf.tflite.load(content)
    (given,) = model.inputs.values()
    rng = np.random.default_rng(3)
    shape = [size if isinstance(size, int) else 3 for size in given.shape]
    if given.dtype.is_floating:
        return content, model, rng.standard_normal(shape).astype(np.float32)
    return content, model, rng.integers(-128, 128, shape).astype(given.dtype.numpy)


def run(model: gf.Model, feed: np.ndarray) -> np.ndarray:
    (made,) = model.run({name: feed for name in model.inputs}, backend="numpy").values()
    return np.asarray(made)


def permutations(model: gf.Model) -> int:
    return sum(node.op.name == "permute_dims" for node in model.graph)


@pytest.mark.parametrize("name", ["mobile_float", "segments_float", "encoder_float", "recurrent_float"])
def test_floats(name: str) -> None:
    content, model, feed = load(name)
    (want,) = expected(content, [feed])
    np.testing.assert_allclose(run(model, feed), want, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(run(gf.optimize(model), feed), want, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["mobile_int8", "segments_int8"])
def test_whole_numbers(name: str) -> None:
    """Steps that were rounded otherwise in one layer are seen in the next: two at the most here."""
    content, model, feed = load(name)
    (want,) = expected(content, [feed])
    got = run(model, feed)
    assert got.dtype == want.dtype == np.int8
    off = np.abs(got.astype(int) - want.astype(int))
    assert off.max() <= 2
    assert np.mean(off > 0) < 0.1
    np.testing.assert_array_equal(run(gf.optimize(model), feed), got)


def test_weights_alone_that_are_whole_numbers() -> None:
    content, model, feed = load("encoder_dynamic")
    (want,) = expected(content, [feed])
    np.testing.assert_allclose(run(model, feed), want, atol=0.05)


@pytest.mark.parametrize(
    ("name", "before", "after", "channels_last"),
    [("mobile_float", 39, 2, 0), ("mobile_int8", 39, 2, 0), ("segments_float", 18, 5, 0)],
)
def test_permutations_vanish(name: str, before: int, after: int, channels_last: int) -> None:
    """`layout` is the pass of the jax backend; without it the channels stay first inside."""
    _, model, _ = load(name)
    assert permutations(model) == before
    assert permutations(gf.optimize(model, level="O2")) == after
    assert permutations(gf.optimize(model, pipeline="eliminate,canonicalize,layout")) == channels_last


def test_one_kept_permutation_a_side() -> None:
    _, model, _ = load("mobile_int8")
    kept = [node for node in gf.optimize(model, level="O2").graph if node.op.name == "permute_dims"]
    assert [(node.inputs[0].dtype.name, node.attrs["axes"]) for node in kept] == [
        ("int8", (0, 3, 1, 2)),
        ("int8", (0, 2, 3, 1)),
    ]


def test_any_batch_and_a_given_one() -> None:
    content, model, feed = load("encoder_float")
    assert str(model.inputs["tokens"].type) == "float32[tokens_0, 12, 16]"
    for count in (1, 5):
        rows = np.resize(feed, (count, 12, 16))
        (want,) = expected(content, [rows])
        np.testing.assert_allclose(run(model, rows), want, rtol=1e-5, atol=2e-6)
    fixed = gf.tflite.load(content, shapes={"tokens": (2, 12, 16)})
    assert fixed.outputs["output_0"].shape == (2, 12, 16)


def test_compiled_with_jax() -> None:
    content, model, feed = load("mobile_int8")
    (want,) = expected(content, [feed])
    (got,) = model.run({"image": feed}, backend="jax").values()
    assert np.abs(np.asarray(got).astype(int) - want.astype(int)).max() <= 2


def test_fine_tuning() -> None:
    content, _, feed = load("mobile_float")
    model = gf.tflite.load(content, trainable=True)
    (out,) = model.outputs.values()
    with model.graph:
        loss = gf.nn.nll(gf.log(out), gf.constant([3]))
        train = gf.train.SGD(0.02).minimize(loss)
    with gf.Session(model.graph, backend="numpy") as sess:
        losses = [float(sess.run([loss, train], {"image": feed})[0]) for _ in range(3)]
    assert losses[2] < losses[1] < losses[0]
