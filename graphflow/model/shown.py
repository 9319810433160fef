"""What a model shows of itself: its layers in a table, and a page for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphflow.viz.summary import Summary


class Shown:
    """The methods of a Model that show it."""

    def summary(
        self, depth: int | None = None, sizes: Mapping[str, int] | None = None, rows: int = 50
    ) -> Summary:
        """The layers in a table: what each gives, its parameters, operations and bytes; print it.

        Arguments:
            depth: how many levels of name scopes are opened; by default all but the innermost, if that fits.
            sizes: what symbolic sizes count as in FLOP and bytes; 1 by default.
            rows: at most.

        >>> import graphflow as gf
        >>> x = gf.placeholder("x", ("batch", 4))
        >>> model = gf.Model(inputs=[x], outputs={"y": gf.layers.dense(x, 3)})
        >>> model.summary().total.parameters
        15
        """
        from graphflow.viz.summary import summary

        return summary(self, depth, sizes, rows)

    def _repr_html_(self) -> str:
        """The signature, the layers and the picture, where a notebook shows the model."""
        from graphflow.viz.notebook import model_html

        return model_html(self)
