"""The light models with random weights, every tensor of theirs against onnxruntime."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import pytest

import graphflow as gf
from tests.io.onnx.numerics import light
from tests.io.onnx.numerics.comparing import (
    computed,
    distances,
    expected,
    farthest,
    spread,
    with_every_tensor,
)

PIXELS = {"bvlc_alexnet": 96, "zfnet512": 96}
"""Of images, where 64 are too few: nothing would be left at the last pooling."""

CLOSE = 1e-5
"""As a part of the largest number of a tensor; what was found is in docs/onnx-numerics.md.

A sum of 4,608 products, the longest, may be off by 1e-6 of its size on either side, and hundreds of sums
follow one another. Errors are as likely up as down, so that they hardly grow with the depth.
"""

CLOSE_PROBABILITY = 1e-4
"""Of softmax: a difference of logits is one in parts of the result, and logits go up to 100."""

HANDFUL = 6
MOST_TENSORS = 150
"""Of models that are run again for few of their tensors."""


@dataclass(frozen=True)
class Case:
    """A model with every tensor as an output, a feed, and what onnxruntime makes of it."""

    name: str
    whole: onnx.ModelProto
    fed: dict[str, np.ndarray]
    wanted: dict[str, np.ndarray]

    @property
    def output(self) -> str:
        """The name of what the model is for."""
        return self.whole.graph.output[0].name

    @property
    def handful(self) -> list[str]:
        """The output, and tensors on the way to it."""
        return [self.output, *spread(list(self.wanted)[1:], HANDFUL)]

    def check(self, names: list[str], backend: str, level: str) -> None:
        """Compare what we make of some tensors."""
        found = distances(computed(gf.onnx.load(self.whole), self.fed, names, backend, level), self.wanted)
        assert len(found) == len(names)
        assert found.pop(self.output) < CLOSE_PROBABILITY
        assert farthest(found)[1] < CLOSE, (level, *farthest(found))


@pytest.fixture(scope="module", params=light.NAMES)
def case(request: pytest.FixtureRequest) -> Case:
    """One model after the other, so that the arrays of one are held at a time."""
    whole = with_every_tensor(light.light_model(request.param, PIXELS.get(request.param, 64)))
    fed = light.image(whole)
    return Case(request.param, whole, fed, expected(whole, fed))


def test_all_nine_are_there() -> None:
    assert len(light.NAMES) == 9


def test_activations_keep_their_size(case: Case) -> None:
    floats = [value for value in case.wanted.values() if value.dtype.kind == "f" and value.size > 100]
    assert all(np.isfinite(value).all() for value in floats)
    assert all(1e-3 < value.std() < 1e3 for value in floats[1:])
    assert len(np.unique(case.wanted[case.output])) > 100  # no class is like another


def test_every_tensor_on_numpy(case: Case) -> None:
    for level in ("O0", "O2"):
        case.check(list(case.wanted), "numpy", level)
    if len(case.wanted) < MOST_TENSORS:
        case.check(case.handful, "numpy", "O2")  # what is not asked for can be fused


def test_a_handful_on_jax(case: Case) -> None:
    case.check(case.handful, "jax", "O2")
