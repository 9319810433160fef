"""The tables of all families of operators, as one: what imports an operator of a domain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.io.onnx import (
    import_attention,
    import_contrib,
    import_control,
    import_conv,
    import_creation,
    import_elementwise,
    import_images,
    import_indexing,
    import_ml,
    import_normalization,
    import_quantization,
    import_random,
    import_recurrent,
    import_reduction,
    import_sequences,
    import_shape,
    import_signal,
    import_sorting,
    import_strings,
    import_training,
)

Import = Callable[..., Any]
"""From a Call and the inputs to the outputs: a tuple of them, or the only one; a list is a sequence."""

_FAMILIES = (
    import_attention, import_control, import_conv, import_creation, import_elementwise, import_images,
    import_indexing, import_normalization, import_quantization, import_random, import_recurrent,
    import_reduction, import_sequences, import_shape, import_signal, import_sorting, import_strings,
)  # fmt: skip

IMPORTS: dict[tuple[str, str], Import] = {
    **{("", name): found for family in _FAMILIES for name, found in family.TABLE.items()},
    **import_ml.TABLE,
    **import_training.TABLE,
    **import_contrib.TABLE,
}
"""What imports an operator, by its domain ("" for ONNX's own) and its name."""
