"""What graphs and tensors show of themselves: notebook pictures and a table of layers, made elsewhere.

Pictures belong to a higher floor, which this one knows nothing of; the package sets `drawer` on import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

drawer: Callable[[], Any] = dict
"""Gives the module that draws; see graphflow.viz.notebook."""


class ShownGraph:
    """The methods of a Graph that show it."""

    __slots__ = ()

    def summary(
        self, depth: int | None = None, sizes: Mapping[str, int] | None = None, rows: int = 50
    ) -> Any:
        """The layers in a table: what each gives, its parameters, operations and bytes; print it.

        Arguments:
            depth: how many levels of name scopes are opened; by default all but the innermost, if that fits.
            sizes: what symbolic sizes count as in FLOP and bytes; 1 by default.
            rows: at most.

        Returns:
            a graphflow.viz.summary.Summary.

        >>> import graphflow as gf
        >>> x = gf.placeholder("x", ("batch", 4))
        >>> gf.layers.dense(x, 3).graph.summary().total.parameters
        15
        """
        return drawer().graph_summary(self, depth, sizes, rows)

    def _repr_svg_(self) -> str:
        """The picture, where a notebook shows the graph."""
        return str(drawer().graph_svg(self))


class ShownTensor:
    """What notebooks show of a Tensor."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """The tree of what it is computed from."""
        return str(drawer().tensor_html(self))
