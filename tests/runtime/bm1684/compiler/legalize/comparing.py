"""Runs a small graph on the chip's simulator and on the reference, on the same random inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphflow as gf


def both(build: Callable[..., Any], *shapes: tuple[int, ...], seed: int = 0) -> list[tuple[Any, Any]]:
    """For each output of what `build` makes of placeholders: the reference's, and the chip's."""
    rng = np.random.default_rng(seed)
    with gf.Graph() as graph:
        inputs = [gf.placeholder(f"x{number}", shape) for number, shape in enumerate(shapes)]
        made = build(*inputs)
    outputs = list(made) if isinstance(made, list | tuple) else [made]
    feeds = {x: rng.standard_normal(shape, np.float32) for x, shape in zip(inputs, shapes)}
    results = []
    for backend in ("numpy", "bm1684"):
        with gf.Session(graph, backend=backend) as session:
            results.append(session.run(outputs, feeds))
    return list(zip(*results))


def assert_same(build: Callable[..., Any], *shapes: tuple[int, ...]) -> None:
    """The chip gives the same bits."""
    for wanted, made in both(build, *shapes):
        np.testing.assert_array_equal(made, wanted)


def assert_close(build: Callable[..., Any], *shapes: tuple[int, ...], tolerance: float = 1e-5) -> None:
    """The chip's error is small beside the largest element."""
    for wanted, made in both(build, *shapes):
        assert made.shape == wanted.shape
        assert np.abs(made - wanted).max() <= tolerance * np.abs(wanted).max()
