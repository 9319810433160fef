"""What the operators of a graph become on the chip, one family a file."""

from graphflow.runtime.bm1684.compiler.legalize import (
    activation,
    comparison,
    elementwise,
    movement,
    normalization,
    products,
    reasons,
    reduction,
    resampling,
    softmax,
    transposed,
    windows,
)
from graphflow.runtime.bm1684.compiler.legalize.context import LEGAL, Legalizer, Refusal, Refused, refused

__all__ = [
    "LEGAL",
    "Legalizer",
    "Refusal",
    "Refused",
    "activation",
    "comparison",
    "elementwise",
    "movement",
    "normalization",
    "products",
    "reasons",
    "reduction",
    "refused",
    "resampling",
    "softmax",
    "transposed",
    "windows",
]
