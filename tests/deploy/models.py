"""Small models to compile, and their outputs by the backend numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import graphflow as gf


def model(build: Callable[..., Any], *shapes: tuple[Any, ...], dtype: Any = gf.float32) -> gf.Model:
    """A model of what is built on placeholders x0, x1, ...: a tensor y, or tensors by name."""
    with gf.Graph("net"):
        inputs = [gf.placeholder(f"x{index}", shape, dtype) for index, shape in enumerate(shapes)]
        made = build(*inputs)
        return gf.Model(inputs=inputs, outputs=made if isinstance(made, dict) else {"y": made})


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def convolving(batch: Any = "batch") -> gf.Model:
    """Two convolutions, a pool and a dense layer on images of 3 x 12 x 12."""

    def build(x: gf.Tensor) -> gf.Tensor:
        first, second = gf.constant(floats(8, 3, 3, 3)), gf.constant(floats(70, 8, 3, 3, seed=1))
        h = gf.nn.relu(gf.nn.conv(x, first, padding=1))
        h = gf.nn.max_pool(gf.nn.relu(gf.nn.conv(h, second, padding=1)), 2)
        return gf.matmul(gf.flatten(h), gf.constant(floats(70 * 36, 10, seed=2)))

    return model(build, (batch, 3, 12, 12))


def assert_as_numpy(
    made: Mapping[str, np.ndarray], net: gf.Model, feeds: Mapping[str, np.ndarray], within: float = 1e-5
) -> None:
    """Every output is that of the backend numpy, within a share of its largest element."""
    wanted = net.run(feeds, backend="numpy")
    by_name = wanted if isinstance(wanted, dict) else {"y": wanted}
    assert list(made) == list(by_name)
    for name, array in by_name.items():
        assert made[name].shape == array.shape and made[name].dtype == array.dtype
        np.testing.assert_allclose(made[name], array, rtol=0, atol=within * np.abs(array).max())
