"""Every tensor of an ONNX model as onnxruntime computes it, and how far from these ours are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime

import graphflow as gf


def with_every_tensor(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that has what its nodes compute as outputs, too, but for masks of Dropout."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    known = {output.name for output in made.graph.output}
    outputs = [node.output[: 1 if node.op_type == "Dropout" else None] for node in made.graph.node]
    names = [name for listed in outputs for name in listed if name and name not in known]
    made.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return made


def expected(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of onnxruntime, which changes nothing about the graph."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def computed(
    model: gf.Model, feeds: Mapping[str, np.ndarray], names: Sequence[str], backend: str, level: str
) -> dict[str, np.ndarray]:
    """What we make of some of the outputs."""
    fed = {model.inputs[name]: value for name, value in feeds.items()}
    with gf.Session(model.graph, backend=backend, level=level) as session:
        made = session.run([model.outputs[name] for name in names], fed)
    return dict(zip(names, made, strict=True))


def distance(made: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference, as a part of the largest number of the tensor that is wanted.

    Sums cancel, so that a number near 0 has no digits to compare; what its tensor is used for adds it to
    numbers of the tensor's own size. inf where NaN or infinities are not in the same places.
    """
    assert made.dtype == wanted.dtype and made.shape == wanted.shape
    if wanted.dtype.kind != "f":
        return 0.0 if np.array_equal(made, wanted) else np.inf
    finite = np.isfinite(wanted)
    alike = np.array_equal(made[~finite], wanted[~finite], equal_nan=True)
    if not alike or not np.isfinite(made[finite]).all():
        return np.inf
    if not finite.any():
        return 0.0
    one, other = made[finite].astype(np.float64), wanted[finite].astype(np.float64)
    return float(np.max(np.abs(one - other)) / max(np.max(np.abs(other)), np.finfo(np.float32).tiny))


def distances(made: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> dict[str, float]:
    """`distance` for each tensor that we have."""
    return {name: distance(value, wanted[name]) for name, value in made.items()}


def farthest(found: Mapping[str, float]) -> tuple[str, float]:
    """The tensor that is farthest off."""
    return max(found.items(), key=lambda item: item[1])


def spread(names: Iterable[str], count: int) -> list[str]:
    """So many of them, at even distances, the last with them."""
    listed = list(names)
    step = max(1, len(listed) // count)
    return listed[::-1][::step][:count][::-1]


def normal(shape: Sequence[int], seed: int, dtype: Any = np.float32) -> np.ndarray:
    """Normal numbers."""
    return np.random.default_rng(seed).standard_normal(tuple(shape)).astype(dtype)
