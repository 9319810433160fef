"""Depthwise convolutions: each channel by a kernel of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import local
from graphflow.runtime.bm1684.compiler.layers import packing
from graphflow.runtime.bm1684.compiler.layers.channelwise import ChannelwiseLayer
from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient, Places
from graphflow.runtime.bm1684.compiler.layers.window import ONE
from graphflow.runtime.bm1684.compiler.tensors import Box
from graphflow.runtime.bm1684.isa import Operand, Window


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthwiseConvolution(ChannelwiseLayer):
    """result[n, c] = sum over the kernel of input[n, c] * weights[c] + bias[c].

    More than one result for each channel is a Convolution of as many groups as channels.

    Attributes:
        weights: (channels, kernel h, kernel w).
        bias: by channel, or None.
        dilation: from one element of the kernel to the next.
    """

    weights: np.ndarray = field(repr=False)
    bias: np.ndarray | None = field(default=None, repr=False)
    dilation: Window = ONE
    made: dict[Any, Coefficient] = field(default_factory=dict, init=False, repr=False)

    def extent(self) -> Window:
        return Window(*self.weights.shape[1:])

    def spread(self) -> Window:
        return self.dilation

    def coefficients(self, part: Box) -> tuple[Coefficient, ...]:
        channels = part.start.c, part.stop.c
        if ("weights", *channels) not in self.made:
            rows = self.weights.reshape(len(self.weights), -1)[slice(*channels)].astype(np.float32)
            name = f"{self.label} weights"
            self.made["weights", *channels] = packing.channel_rows(name, packing.lane_major(rows))
        made = [self.made["weights", *channels]]
        if self.bias is not None:
            if ("bias", *channels) not in self.made:
                values = self.bias[slice(*channels)].astype(np.float32)
                self.made["bias", *channels] = packing.channel_vector(f"{self.label} bias", values)
            made.append(self.made["bias", *channels])
        return tuple(made)

    def command(self, part: Box, places: Places, shared: dict[str, Any]) -> isa.Command:
        bias = None if self.bias is None else Operand(local(0, places.coefficients[1]))
        weights = Operand(local(0, places.coefficients[0]))
        return isa.DepthwiseConvolution(**shared, weights=weights, bias=bias, dilation=self.dilation)
