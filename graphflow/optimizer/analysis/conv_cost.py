"""What a convolution costs by each algorithm on a processor, in seconds: a model of a few rates.

The rates were fitted on two cores of a server processor under XLA to 3x3, 1x1, 7x7 and depthwise
convolutions of ResNet-50 and MobileNet-v2 at batch 1 and 8. Only quotients matter: a machine with other
rates in like proportions makes the same choices.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from graphflow.ops.packed_conv import MOST_AXES, is_depthwise
from graphflow.ops.winograd import tiles

PRODUCT_RATE = 190e9
"""Operations a second of a product of large matrices."""

DIRECT_RATE = 120e9
"""Operations a second of a convolution with many output places."""

SHORT_RATE = 20e9
"""Operations a second of a convolution whose windows hold few numbers, as of the colours of an image."""

GROUPED_RATE = 0.7e9
"""Operations a second of a convolution in groups, which XLA:CPU runs as a scalar loop."""

MOVED_RATE = 20e9
"""Bytes a second that are read or written by fused arithmetic on shifted images."""

PATCH_RATE = 2e9
"""Bytes a second of writing out what windows hold."""

PACKED_RATE = 215e9
"""Operations a second of the kernel for weights in panels; see the operator `packed_conv`."""

NARROW_PACKED_RATE = 120e9
"""The same where a group's outputs do not fill a panel."""

DEPTHWISE_RATE = 35e9
"""The same where each output has a channel of its own."""

LEAST_IN_GROUP = 4
"""Channels, and outputs, that a group needs to have for a vector of a panel to be worth filling."""

MOST_PRODUCTS = 16
"""Groups that are computed as a product each."""

_SHORT_WINDOW = 32
_PANEL = 16  # outputs of a panel
_PRODUCT_ROWS, _DIRECT_ROWS = 12, 40  # how many rows it takes to reach half of a rate


class Geometry(NamedTuple):
    """A convolution.

    Attributes:
        places: the positions of the result: batch times the spatial sizes of it.
        sizes: those spatial sizes.
        channels, outputs, groups: of the kernels.
        kernel: its sizes.
        read: the elements of the image.
        itemsize: bytes of an element.
        strides, dilation: for each spatial axis.
        padded: whether there is padding.
        constant: whether the weights stay the same, so that what is made of them costs nothing.
    """

    places: int
    sizes: tuple[int, ...]
    channels: int
    outputs: int
    groups: int
    kernel: tuple[int, ...]
    read: int
    itemsize: int
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padded: bool
    constant: bool

    @property
    def flops(self) -> int:
        """Operations of the definition."""
        return 2 * self.places * self.outputs * self.window

    @property
    def window(self) -> int:
        """Products for each element of the result."""
        return prod(self.kernel) * (self.channels // max(self.groups, 1))


@dataclass(frozen=True)
class Choice:
    """An algorithm with the seconds that it is expected to take."""

    algorithm: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.algorithm} {1e3 * self.seconds:.3g} ms"


def estimates(geometry: Geometry, largest_tile: int = 0, is_packed: bool = False) -> list[Choice]:
    """Each algorithm that can compute a convolution, with its cost.

    Arguments:
        largest_tile: of Winograd's algorithm: 0 leaves it out.
        is_packed: whether weights will be cut into panels where they can be. "packed" then stands for
            "direct", "dot" and "im2col", which come to the same.

    >>> layer = Geometry(196, (14, 14), 256, 256, 1, (3, 3), 50176, 4, (1, 1), (1, 1), True, True)
    >>> min(estimates(layer, 4), key=lambda choice: choice.seconds).algorithm
    'winograd2'
    """
    if is_packed and fits_panels(geometry):
        found = [Choice("packed", _packed(geometry))]
    else:
        found = _plain_products(geometry)
    if geometry.groups > 1 and geometry.groups == geometry.channels:
        found.append(Choice("shifts", _shifts(geometry)))
    if fits_winograd(geometry) and geometry.window > _SHORT_WINDOW:
        found += [
            Choice(f"winograd{tile}", winograd_seconds(geometry, tile))
            for tile in (2, 4)
            if tile <= largest_tile
        ]
    return found


def _plain_products(geometry: Geometry) -> list[Choice]:
    """What multiplies by the weights as they are."""
    found = [Choice("direct", _direct(geometry))]
    if geometry.groups <= MOST_PRODUCTS and set(geometry.kernel) == {1} and not geometry.padded:
        found.append(Choice("dot", _dot(geometry)))
    if prod(geometry.kernel) > 1:
        found.append(Choice("im2col", _im2col(geometry)))
    return found


def fits_panels(geometry: Geometry) -> bool:
    """Whether the weights can be cut into panels, and the pass `pack-weights` will do so."""
    is_plain = geometry.constant and geometry.itemsize == 4 and len(geometry.kernel) <= MOST_AXES
    return is_plain and fills_vectors(geometry.channels, geometry.outputs, geometry.groups)


def fills_vectors(channels: int, outputs: int, groups: int) -> bool:
    """Whether each group has channels and outputs enough for panels, or each output a channel of its own.

    >>> [fills_vectors(32, outputs, groups) for outputs, groups in ((16, 1), (32, 32), (64, 32), (32, 8))]
    [True, True, False, True]
    """
    is_alone = groups == 1 or is_depthwise(groups, channels, outputs)
    return is_alone or min(channels // groups, outputs // groups) >= LEAST_IN_GROUP


def fits_winograd(geometry: Geometry) -> bool:
    """Whether Winograd's algorithm can compute it."""
    ones = (*geometry.strides, *geometry.dilation, geometry.groups)
    return geometry.kernel == (3, 3) and set(ones) == {1}


def _product(rows: int, flops: float) -> float:
    return flops / PRODUCT_RATE * (1 + _PRODUCT_ROWS / max(rows, 1))


def _dot(geometry: Geometry) -> float:
    """Products of matrices; of groups, each cut out, and the results put together again."""
    moved = geometry.read + geometry.places * geometry.outputs if geometry.groups > 1 else 0
    return _product(geometry.places, geometry.flops) + moved * geometry.itemsize / MOVED_RATE


def _direct(geometry: Geometry) -> float:
    if geometry.groups > 1:
        return geometry.flops / GROUPED_RATE
    rate = SHORT_RATE if prod(geometry.kernel) > 1 and geometry.window <= _SHORT_WINDOW else DIRECT_RATE
    return geometry.flops / rate * (1 + _DIRECT_ROWS / max(geometry.places, 1))


def _packed(geometry: Geometry) -> float:
    """Products at one rate, and each weight read once."""
    weights = geometry.window * geometry.outputs * geometry.itemsize
    rate = NARROW_PACKED_RATE if geometry.outputs // geometry.groups < _PANEL else PACKED_RATE
    if is_depthwise(geometry.groups, geometry.channels, geometry.outputs):
        rate = DEPTHWISE_RATE
    return geometry.flops / rate + weights / MOVED_RATE


def _shifts(geometry: Geometry) -> float:
    moved = geometry.places * geometry.outputs * (1 + prod(geometry.kernel)) + geometry.read
    return moved * geometry.itemsize / MOVED_RATE


def _im2col(geometry: Geometry) -> float:
    columns = geometry.places * prod(geometry.kernel) * geometry.channels
    weights = geometry.window * geometry.outputs
    moved = (columns / PATCH_RATE + weights / MOVED_RATE) * geometry.itemsize
    return _product(geometry.places, geometry.flops) + moved


def winograd_seconds(geometry: Geometry, tile: int) -> float:
    """What Winograd's algorithm costs, its weights' transform included unless they are constant."""
    places = prod(geometry.sizes)
    batch = geometry.places // max(places, 1)
    count = batch * prod([tiles(size, tile) for size in geometry.sizes])
    products = (tile + 2) ** 2
    flops = 2 * products * count * geometry.channels * geometry.outputs
    weights = products * geometry.channels * geometry.outputs
    moved = geometry.read + geometry.places * geometry.outputs
    moved += products * count * 2 * (geometry.channels + geometry.outputs) * (1 if tile == 2 else 2)
    moved += weights * (1 if geometry.constant else 3)
    return _product(count, flops) + moved * geometry.itemsize / MOVED_RATE
