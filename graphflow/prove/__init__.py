"""Proving what the optimizer did: the same values at every level, or the one edit that changed them."""

from graphflow.optimizer.difference import Difference, diff
from graphflow.optimizer.loading import load_passes, load_rules
from graphflow.prove.bisect import Bisection, bisect
from graphflow.prove.check import Check, check
from graphflow.prove.inputs import generate

__all__ = [
    "Bisection",
    "Check",
    "Difference",
    "bisect",
    "check",
    "diff",
    "generate",
    "load_passes",
    "load_rules",
]


def __dir__() -> list[str]:
    return sorted(__all__)
