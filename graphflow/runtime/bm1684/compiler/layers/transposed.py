"""Transposed convolutions: zeros between the rows and columns of the input, and the kernel turned around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.window import NO_PADS, NO_ZEROS, ONE
from graphflow.runtime.bm1684.compiler.tensors import Value
from graphflow.runtime.bm1684.isa import Pads, Window


@dataclass(frozen=True, eq=False, kw_only=True)
class TransposedConvolution(Convolution):
    """The gradient of a convolution by its input; make it with `of`.

    The zeros are multiplied as any others, so that by steps of s it takes s * s as long as what it computes.
    """

    @classmethod
    def of(
        cls,
        output: Value,
        given: Value,
        weights: np.ndarray,
        bias: np.ndarray | None = None,
        *,
        strides: Window = ONE,
        pads: Pads = NO_PADS,
        dilation: Window = ONE,
        groups: int = 1,
        more: Window = NO_ZEROS,
        relu: bool = False,
        ceiling: float | None = None,
        nodes: tuple[str, ...] = (),
    ) -> TransposedConvolution:
        """As ONNX's ConvTranspose: weights are (input channels, output channels of a group, h, w).

        Arguments:
            pads: what is left out of the result on each side.
            more: rows and columns that the result has more at its end ("output padding").
        """
        inputs, made, height, width = weights.shape
        taken = inputs // groups
        turned = weights.reshape(groups, taken, made, height, width)[..., ::-1, ::-1]
        reach = (height - 1) * dilation.h, (width - 1) * dilation.w
        return cls(
            output=output,
            inputs=(given,),
            nodes=nodes,
            weights=turned.transpose(0, 2, 1, 3, 4).reshape(groups * made, taken, height, width),
            bias=bias,
            pads=Pads(
                reach[0] - pads.top,
                reach[0] - pads.bottom + more.h,
                reach[1] - pads.left,
                reach[1] - pads.right + more.w,
            ),
            dilation=dilation,
            groups=groups,
            insert=Window(strides.h - 1, strides.w - 1),
            relu=relu,
            ceiling=ceiling,
        )

    def cuts(self) -> str:
        """A slice must see some input: not so where windows lie between its elements, or behind them."""
        made = "nc"
        ends = (self.pads.top, self.pads.bottom), (self.pads.left, self.pads.right)
        for axis, size, spread, zeros, (_, after) in zip(
            "hw", self.extent(), self.dilation, self.insert, ends
        ):
            reach = (size - 1) * spread
            if reach >= zeros and after <= reach:
                made += axis
        return made
