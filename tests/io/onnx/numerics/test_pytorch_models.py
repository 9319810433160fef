"""Models that PyTorch's own exporters wrote, against onnxruntime; export_from_pytorch.py made them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

import graphflow as gf
from tests.io.onnx.numerics.comparing import (
    computed,
    distances,
    expected,
    farthest,
    normal,
    with_every_tensor,
)
from tests.io.onnx.numerics.weights import filled

FOLDER = Path(__file__).parent / "graphs"
MODELS = tuple(path.stem for path in sorted(FOLDER.glob("*.onnx")))
CLOSE = 5e-6
"""As a part of the largest number of a tensor; what was found is in docs/onnx-numerics.md."""


@cache
def model(name: str) -> onnx.ModelProto:
    """One of them, with weights."""
    return filled(onnx.load(FOLDER / f"{name}.onnx"))


def feeds(name: str, batch: int = 2, length: int = 4, past: int = 3) -> dict[str, np.ndarray]:
    """Inputs, of sizes that the exporter did not see."""
    kind = name.partition(".")[0]
    tokens = np.random.default_rng(batch).integers(0, 50, (batch, length))
    if kind == "lstm":
        return {"tokens": np.random.default_rng(batch).integers(0, 50, (batch, 9))}
    if kind == "encoder":
        if name.endswith("torchscript"):  # the exporter wrote the length that it saw into a Reshape
            tokens = np.random.default_rng(batch).integers(0, 50, (batch, 9))
        return {"tokens": tokens, "padding": np.arange(tokens.shape[1]) > np.arange(batch)[:, None]}
    if kind == "decoder":
        shape = (2, batch, 4, past, 6)
        return {"tokens": tokens, "keys": normal(shape, 1), "values": normal(shape, 2)}
    return {"image": normal((1, 1, 44, 46) if kind == "unet" else (batch, 3, 64, 64), 3)}


def test_the_files_are_small_and_hold_no_weights() -> None:
    assert len(MODELS) == 12
    for path in FOLDER.glob("*.onnx"):
        assert path.stat().st_size < 100_000
        held = [tensor for tensor in onnx.load(path).graph.initializer if np.prod(tensor.dims) >= 64]
        assert sum(len(tensor.raw_data) for tensor in held if tensor.data_type == 1) == 0


@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_on_numpy(name: str) -> None:
    whole, fed = with_every_tensor(model(name)), feeds(name)
    wanted, own = expected(whole, fed), gf.onnx.load(whole)
    found = distances(computed(own, fed, list(own.outputs), "numpy", "O0"), wanted)
    assert len(found) == len(wanted) > len(model(name).graph.output)
    assert farthest(found)[1] < CLOSE, farthest(found)
    found = distances(own.run(fed, backend="numpy"), wanted)
    assert farthest(found)[1] < CLOSE, farthest(found)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_on_jax(name: str) -> None:
    fed = feeds(name)
    found = distances(gf.onnx.load(model(name)).run(fed, backend="jax"), expected(model(name), fed))
    assert farthest(found)[1] < CLOSE, farthest(found)


@pytest.mark.parametrize("name", MODELS)
def test_written_again_and_run_by_onnxruntime(name: str, tmp_path: Path) -> None:
    fed = feeds(name)
    own = gf.onnx.load(model(name))
    gf.onnx.save(own, tmp_path / "again.onnx")
    again = onnx.load(tmp_path / "again.onnx")
    onnx.checker.check_model(again, full_check=True)
    found = distances(expected(again, fed), expected(model(name), fed))
    assert list(found) == list(own.outputs)
    assert farthest(found)[1] < CLOSE, farthest(found)


@pytest.mark.parametrize("sizes", [(1, 1, 0), (1, 1, 7), (3, 2, 1)])
@pytest.mark.parametrize("name", ["decoder.dynamo", "decoder.torchscript"])
def test_steps_of_a_decoder(name: str, sizes: tuple[int, int, int]) -> None:
    """From an empty cache on: one model serves all lengths."""
    fed = feeds(name, *sizes)
    found = distances(gf.onnx.load(model(name)).run(fed, backend="numpy"), expected(model(name), fed))
    assert farthest(found)[1] < CLOSE, farthest(found)


@pytest.mark.parametrize("name", ["encoder.dynamo", "encoder.torchscript"])
def test_a_sequence_that_is_all_padding(name: str) -> None:
    """Each has its own answer: one makes NaN of it, and NaN does not reach the other sequences."""
    fed = feeds(name)
    fed["padding"][0] = True
    (wanted,) = expected(model(name), fed).values()
    for backend in ("numpy", "jax"):
        (made,) = gf.onnx.load(model(name)).run(fed, backend=backend).values()
        assert distances({"y": made}, {"y": wanted})["y"] < CLOSE
    assert np.isfinite(wanted[1]).all()


@pytest.mark.parametrize("name", ["resnet18.dynamo", "mobilenet_v2.torchscript", "lstm.dynamo"])
def test_batches_of_other_sizes(name: str) -> None:
    own = gf.onnx.load(model(name))
    for batch in (1, 5):
        fed = feeds(name, batch)
        found = distances(own.run(fed, backend="numpy"), expected(model(name), fed))
        assert farthest(found)[1] < CLOSE, farthest(found)
