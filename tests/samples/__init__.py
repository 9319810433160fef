"""Sample calls of every operator: one record drives the generic test of each facet.

A file here mirrors a family of `graphflow.ops` and fills SAMPLES; a new operator needs only new
samples to be tested for inference, JAX agreement, gradients and the text form.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SAMPLES: dict[str, list[Sample]] = {}


@dataclass
class Sample:
    """Arguments of one call of an operator.

    inputs: arrays (tensors of the graph); attrs: keyword arguments;
    rtol, atol: tolerance of the comparison with the JAX lowering;
    gradient: whether the inputs lie where the function is differentiable (checked in float64);
    """

    inputs: tuple[np.ndarray, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    rtol: float = 1e-6
    atol: float = 1e-7
    gradient: bool = True


def sample(
    name: str, *inputs: Any, rtol: float = 1e-6, atol: float = 1e-7, gradient: bool = True, **attrs: Any
) -> None:
    """Add one sample call of the operator `name`."""
    arrays = tuple(np.asarray(value) for value in inputs)
    SAMPLES.setdefault(name, []).append(Sample(arrays, attrs, rtol, atol, gradient))


def all_samples() -> dict[str, list[Sample]]:
    """Every sample of every family, by operator name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return SAMPLES
