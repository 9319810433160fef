"""What can go wrong when a program is compiled for the chip."""

from __future__ import annotations

from graphflow.errors import BackendError
from graphflow.runtime.bm1684.chip import LANE_BYTES
from graphflow.runtime.bm1684.compiler.layers.layer import Layer


class TooLarge(BackendError):
    """Work whose buffers do not fit into local memory.

    Attributes:
        layer: the layer.
        bytes: what its buffers need of every lane.
    """

    def __init__(self, layer: Layer, needed: int) -> None:
        super().__init__(
            f"{layer.label} ({layer.kind}) needs {needed} bytes of every lane at once, of {LANE_BYTES}",
            hint="its smallest slice is still too large for the chip: make its rows shorter, or split it",
        )
        self.layer, self.bytes = layer, needed
