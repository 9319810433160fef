"""What the operators of a graph become on the chip, one family a file."""

from graphflow.runtime.bm1684.compiler.legalize import elementwise, movement, products, windows
from graphflow.runtime.bm1684.compiler.legalize.context import LEGAL, Legalizer, Refusal, Refused, refused

__all__ = [
    "LEGAL",
    "Legalizer",
    "Refusal",
    "Refused",
    "elementwise",
    "movement",
    "products",
    "refused",
    "windows",
]
