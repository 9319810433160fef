"""Import of the numeric operators of ai.onnx.ml: features, labels, scaling, linear models, trees."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import FileFormatError
from graphflow.io.onnx.call import Call
from graphflow.ir import dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import (
    casting,
    comparison,
    declare,
    elementwise,
    indexing,
    linalg,
    reduction,
    rounding,
    shape,
)
from graphflow.ops import standard as standard_ops

DOMAIN = "ai.onnx.ml"

_LEQ, _LT, _GTE, _GT, _EQ, _NEQ, _MEMBER = range(7)
_AVERAGE, _SUM, _MIN, _MAX = range(4)


def _extractor(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    x = shape.expand_dims(x, 0) if x.ndim == 1 else x
    return indexing.take(x, standard_ops.reshape(indices, (-1,)), x.ndim - 1)


def _binarizer(call: Call, x: Tensor) -> Tensor:
    return casting.astype(
        comparison.greater(x, declare.constant(call.attr("threshold", 0.0), x.dtype)), x.dtype
    )


def _scaler(call: Call, x: Tensor) -> Tensor:
    offset, scale = np.float32(call.attr("offset", [0.0])), np.float32(call.attr("scale", [1.0]))
    return (casting.astype(x, dtypes.float32) - offset) * scale


def _normalizer(call: Call, x: Tensor) -> Tensor:
    x, norm = casting.astype(x, dtypes.float32), call.attr("norm", "MAX")
    if norm == "MAX":
        size = reduction.max(elementwise.abs(x), -1, keepdims=True)
    else:
        size = linalg.vector_norm(x, -1, keepdims=True, ord={"L1": 1, "L2": 2}[norm])
    return comparison.where(comparison.equal(size, 0), x, x / size)


def _linear(call: Call, x: Tensor) -> Tensor:
    targets = call.attr("targets", 1)
    weights = np.float32(call.attr("coefficients")).reshape(targets, -1)
    made = linalg.matmul(casting.astype(x, dtypes.float32), weights.T.copy())
    offsets = call.attr("intercepts")
    if call.attr("post_transform", "NONE") != "NONE":
        raise FileFormatError("LinearRegressor with a post_transform is not supported")
    return made if not offsets else made + np.float32(offsets)


# Labels


def _labels(call: Call, side: str) -> np.ndarray | None:
    """The keys or values of a LabelEncoder, whichever attribute holds them."""
    if call.has(f"{side}_tensor"):
        tensor: np.ndarray = call.attr(f"{side}_tensor")
        return tensor
    kinds: dict[str, Any] = {"strings": dtypes.string.numpy, "int64s": np.int64, "floats": np.float32}
    for name, kind in kinds.items():
        if call.has(f"{side}_{name}"):
            return np.array(call.attr(f"{side}_{name}"), kind)
    return None


def _label_encoder(call: Call, x: Tensor) -> Tensor:
    keys, values = _labels(call, "keys"), _labels(call, "values")
    if keys is None or values is None or not keys.size:
        raise FileFormatError("a LabelEncoder needs keys and values", hint="use version 2 of ai.onnx.ml")
    known: dict[str, tuple[str, Any]] = {"T": ("string", "_Unused"), "i": ("int64", -1), "f": ("float", -0.0)}
    standard = known[values.dtype.kind]
    other = call.attr("default_tensor", call.attr(f"default_{standard[0]}", standard[1]))
    default = np.array(other, values.dtype).reshape(())
    spread = shape.expand_dims(x, x.ndim)
    matches = comparison.equal(spread, declare.constant(keys, allow_nan=True))
    if keys.dtype.kind == "f" and np.isnan(keys).any():
        matches = comparison.logical_or(
            matches, comparison.logical_and(rounding.is_nan(spread), np.isnan(keys))
        )
    place = reduction.argmax(casting.astype(matches, dtypes.int32), axis=-1)
    found = indexing.take(declare.constant(values, allow_nan=True), place, 0)
    return comparison.where(reduction.any(matches, axis=-1), found, declare.constant(default, allow_nan=True))


# Trees


def _members(call: Call, modes: np.ndarray) -> np.ndarray | None:
    """For each node the values that its test compares with, filled up with NaN; None without such tests."""
    if not (modes == _MEMBER).any():
        return None
    groups: list[list[float]] = [[]]
    for value in np.asarray(call.attr("membership_values")).tolist():
        if np.isnan(value):
            groups.append([])
        else:
            groups[-1].append(value)
    made = np.full((len(modes), max(map(len, groups)) or 1), np.nan)
    for node, group in zip(np.flatnonzero(modes == _MEMBER), groups):
        made[node, : len(group)] = group
    return made


def _depth(nexts: list[np.ndarray], roots: np.ndarray, count: int) -> int:
    """How many tests there are on the longest way from a root to a leaf."""
    level, depth = set(roots.tolist()), 0
    while any(node < count for node in level):
        level = {int(side[node]) for node in level if node < count for side in nexts}
        depth += 1
        if depth > count:
            raise FileFormatError("the nodes of a TreeEnsemble run in a circle", hint="get the model again")
    return depth


def _holds(modes: np.ndarray, at: Tensor, value: Tensor, splits: np.ndarray, sets: Any) -> Tensor:
    """Whether the test of each node holds."""
    tests = {
        _LEQ: comparison.less_equal,
        _LT: comparison.less,
        _GTE: comparison.greater_equal,
        _GT: comparison.greater,
        _EQ: comparison.equal,
    }
    split, mode = indexing.take(declare.constant(splits, allow_nan=True), at), indexing.take(modes, at)
    made = comparison.not_equal(value, split)
    for number, test in tests.items():
        if (modes == number).any():
            made = comparison.where(comparison.equal(mode, number), test(value, split), made)
    if sets is not None:
        rows = indexing.take(declare.constant(sets.astype(splits.dtype), allow_nan=True), at, 0)
        inside = reduction.any(comparison.equal(shape.expand_dims(value, value.ndim), rows), axis=-1)
        made = comparison.where(comparison.equal(mode, _MEMBER), inside, made)
    return made


def _trees(call: Call, x: Tensor) -> Tensor:
    modes, splits = np.asarray(call.attr("nodes_modes"), np.int32), np.asarray(call.attr("nodes_splits"))
    count = len(modes)
    nexts = [
        np.array(call.attr(f"nodes_{side}nodeids")) + count * np.array(call.attr(f"nodes_{side}leafs"))
        for side in ("true", "false")
    ]
    tracks = np.array(call.attr("nodes_missing_value_tracks_true", [0] * count), bool)
    features, sets = np.array(call.attr("nodes_featureids")), _members(call, modes)
    roots = np.array(call.attr("tree_roots"))
    state = shape.broadcast_to(declare.constant(roots), (x.shape[0], len(roots)))
    for _ in range(_depth(nexts, roots, count)):
        at = elementwise.minimum(state, count - 1)
        value = indexing.take_along_axis(x, indexing.take(features, at), 1)
        holds = _holds(modes, at, value, splits, sets)
        holds = comparison.logical_or(
            holds, comparison.logical_and(rounding.is_nan(value), indexing.take(tracks, at))
        )
        following = comparison.where(holds, indexing.take(nexts[0], at), indexing.take(nexts[1], at))
        state = comparison.where(comparison.less(state, count), following, state)
    return _gathered(call, elementwise.subtract(state, count), len(roots))


def _gathered(call: Call, leaf: Tensor, trees: int) -> Tensor:
    """What the leaves that were reached give for each target."""
    targets = call.attr("n_targets")
    weights = np.asarray(call.attr("leaf_weights"))
    chosen = indexing.one_hot(
        indexing.take(np.array(call.attr("leaf_targetids")), leaf), targets, dtype=dtypes.bool_
    )
    given = shape.expand_dims(indexing.take(weights, leaf), 2)
    how = call.attr("aggregate_function", _SUM)
    if call.attr("post_transform", 0):
        raise FileFormatError("TreeEnsemble with a post_transform is not supported")
    if how in (_SUM, _AVERAGE):
        total = standard_ops.sum(comparison.where(chosen, given, declare.constant(0, given.dtype)), axis=1)
        return total / trees if how == _AVERAGE else total
    least = declare.constant(np.inf if how == _MIN else -np.inf, given.dtype)
    return (reduction.min if how == _MIN else reduction.max)(comparison.where(chosen, given, least), axis=1)


TABLE: dict[tuple[str, str], Any] = {
    (DOMAIN, "ArrayFeatureExtractor"): _extractor,
    (DOMAIN, "Binarizer"): _binarizer,
    (DOMAIN, "LabelEncoder"): _label_encoder,
    (DOMAIN, "LinearRegressor"): _linear,
    (DOMAIN, "Normalizer"): _normalizer,
    (DOMAIN, "Scaler"): _scaler,
    (DOMAIN, "TreeEnsemble"): _trees,
}
