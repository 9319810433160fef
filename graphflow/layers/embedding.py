"""The embedding layer: a table with one row for each word of a vocabulary."""

from __future__ import annotations

from typing import Any

from graphflow.errors import DTypeError
from graphflow.ir.dtypes import as_dtype, float32
from graphflow.ir.node import Tensor
from graphflow.layers.scope import layer_operand, layer_scope, positive
from graphflow.layers.sharing import variable
from graphflow.ops import initializers
from graphflow.ops.composite import composite


@composite
def embedding(
    ids: Any,
    vocabulary: int,
    units: int,
    initializer: Any = None,
    dtype: Any = float32,
    name: str | None = None,
) -> Tensor:
    """The rows of a table that integers name: y[..., :] = table[ids[...]].

    Variables: `table` of shape [vocabulary, units].

    Arguments:
        ids: integers from 0 to vocabulary - 1, of any shape.
        vocabulary: the number of rows.
        units: the size of a row.
        initializer: normal with a standard deviation of 0.02 by default.
        dtype: the floating type of the table.
        name: the scope of the variable; "embedding", with a suffix where needed, by default.

    Returns:
        [..., units].

    Raises:
        DTypeError: if ids are not integers.
        GraphError: if the given name is that of another layer.

    Source: Bengio et al., "A neural probabilistic language model" (2003); the scale of the default
    is that of Radford et al., "Language models are unsupervised multitask learners" (2019).

    >>> import graphflow as gf
    >>> gf.layers.embedding(gf.placeholder("ids", ("batch", "time"), gf.int32), 1000, 16).type
    float32[batch, time, 16]
    """
    ids = layer_operand(ids)
    if not ids.dtype.is_integer:
        raise DTypeError(f"embedding needs integer ids, not {ids.dtype}", hint="convert with gf.astype")
    shape = (positive(vocabulary, "vocabulary", "embedding"), positive(units, "units", "embedding"))
    chosen = initializers.normal(std=0.02) if initializer is None else initializer
    with layer_scope(ids, name, "embedding") as b:
        table = variable("table", shape, chosen, as_dtype(dtype))
        return b.take(table, ids, axis=0)
