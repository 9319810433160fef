"""Colours by operator family: light fills with darker lines, from a palette that is safe for all eyes.

The hues are those of Okabe and Ito's palette; families that are alike share one, so that a legend
stays short. Colour never carries a fact alone: every box names its operator.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphflow.ir.node import Node

TEXT = "#1a1a1a"
QUIET = "#5c5c5c"
EDGE = "#7a7a7a"
ACCENT = "#c1121f"
BACKGROUND = "#ffffff"
FONT = "Helvetica,Arial,sans-serif"


@dataclass(frozen=True, slots=True)
class Paint:
    """A fill and line colour, and what the legend calls it."""

    label: str
    fill: str
    line: str


INPUT = Paint("input", "#ffffff", "#333333")
VARIABLE = Paint("variable", "#fbf4c0", "#9a8700")
CONSTANT = Paint("constant", "#f0f0f0", "#8c8c8c")
SCOPE = Paint("scope", "#f4f6f8", "#44546a")
OTHER = Paint("other", "#e6e6e6", "#555555")
LINEAR = Paint("linear algebra, convolution", "#cfe4f5", "#0072b2")
ELEMENTWISE = Paint("elementwise", "#d7efe5", "#008a65")
ACTIVATION = Paint("activation", "#fde5bd", "#b86f00")
REDUCTION = Paint("reduction, normalization", "#f9d6c5", "#c04f00")
SHAPE = Paint("shape, indexing", "#f4deeb", "#a64d80")
RANDOM = Paint("random", "#def3fd", "#2f8fc4")
CONTROL = Paint("control flow, update", "#d9dce1", "#2f3640")
REGION = Paint("fused into one loop", "#f5f2fb", "#6b4fa8")

_BY_FAMILY = {
    "linalg": LINEAR,
    "factorization": LINEAR,
    "fourier": LINEAR,
    "conv": LINEAR,
    "convolution": LINEAR,
    "attention": LINEAR,
    "recurrent": LINEAR,
    "elementwise": ELEMENTWISE,
    "comparison": ELEMENTWISE,
    "casting": ELEMENTWISE,
    "complex": ELEMENTWISE,
    "quantization": ELEMENTWISE,
    "strings": ELEMENTWISE,
    "activation": ACTIVATION,
    "softmax": ACTIVATION,
    "loss": REDUCTION,
    "reduction": REDUCTION,
    "pooling": REDUCTION,
    "normalization": REDUCTION,
    "shape": SHAPE,
    "indexing": SHAPE,
    "sorting": SHAPE,
    "resize": SHAPE,
    "detection": SHAPE,
    "images": SHAPE,
    "random": RANDOM,
    "control": CONTROL,
    "state": CONTROL,
}


def paint_of(node: Node) -> Paint:
    """The colours of one node.

    >>> import graphflow as gf
    >>> paint_of(gf.exp(gf.constant(1.0)).node).label
    'elementwise'
    """
    if node.op.name == "variable":
        return VARIABLE
    if node.op.name == "constant":
        return CONSTANT
    if node.op.name == "dimension":
        return SHAPE
    if "nullary_input" in node.op.traits:
        return INPUT
    return _BY_FAMILY.get(node.op.family, OTHER)
