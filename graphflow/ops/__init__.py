"""What each operator means: schema, type inference, NumPy reference, gradient and documentation.

The families are imported here by name, so that the registry is the same whatever is imported first.
"""

from graphflow.ops import (
    activation,
    arrange,
    comparison,
    conv,
    elementwise,
    functions,
    indexing,
    linalg,
    normalization,
    padding,
    pooling,
    random,
    reduction,
    rounding,
    running,
    selection,
    shape,
    slicing,
    softmax,
    sorting,
    state,
    trigonometry,
)

__all__ = [
    "activation",
    "arrange",
    "comparison",
    "conv",
    "elementwise",
    "functions",
    "indexing",
    "linalg",
    "normalization",
    "padding",
    "pooling",
    "random",
    "reduction",
    "rounding",
    "running",
    "selection",
    "shape",
    "slicing",
    "softmax",
    "sorting",
    "state",
    "trigonometry",
]
