"""The tables of all families of operators, as two: what computes with numbers, and what moves elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.io.tflite import (
    import_control,
    import_conv,
    import_creation,
    import_elementwise,
    import_images,
    import_indexing,
    import_recurrent,
    import_reduction,
    import_segments,
    import_shape,
)

Import = Callable[..., Any]
"""From a Call and the inputs, None for absent ones, to the outputs: a tuple of them, or the only one."""

COMPUTES: dict[str, Import] = {
    **import_conv.TABLE,
    **import_creation.TABLE,
    **import_elementwise.TABLE,
    **import_images.TABLE,
    **import_indexing.TABLE,
    **import_recurrent.TABLE,
    **import_reduction.TABLE,
    **import_segments.TABLE,
    **import_shape.TABLE,
}
"""What imports an operator that gets the numbers that its inputs stand for."""

MOVES: dict[str, Import] = {
    **import_conv.MOVES,
    **import_elementwise.MOVES,
    **import_images.MOVES,
    **import_indexing.MOVES,
    **import_reduction.MOVES,
    **import_shape.MOVES,
}
"""What imports an operator that gets its inputs as they are stored, where all have one scale."""

STORED: dict[str, Import] = {
    **import_control.TABLE,
    **import_elementwise.STORED,
    **import_shape.STORED,
}
"""What imports an operator that gets its inputs as they are stored, whatever they stand for."""

PERMUTED = import_conv.PERMUTED
"""The inputs that a builder takes with `Call.permuted`, so that they exist in one layout only."""
