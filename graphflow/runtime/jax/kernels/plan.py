"""How a packed product is cut into pieces of work and register tiles, from its sizes alone.

A piece is a block of places of one image and one group, times a block of vectors of outputs. Its weights stay
in the cache of a core while the places pass by; and there are several pieces for each thread, so that one
that comes late finds work, and none waits long for another.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from math import prod

import numpy as np

from graphflow.runtime.jax.kernels.places import Windows

_PANEL_BYTES = 384 << 10
_PIECE_PRODUCTS = 200_000
"""The least that is worth another thread's while: some microseconds."""
_DEPTHWISE = 4
"""A product of the depthwise kernel takes as long as so many others, as all its operands come from memory."""
_PIECES = 4
"""For each thread."""
_LEAST_PLACES = 24
"""In a block: its weights are read for each once more."""


@dataclass(frozen=True)
class Plan:
    """How a call is cut, in counts, and in floats from one thing to the next.

    Attributes:
        images, groups, places, pieces, depth: of the input: images in the batch, groups of channels, places
            of the result in an image, pieces of a window and floats in a piece.
        vectors, last: of the outputs of a group: vectors, and outputs in the last one.
        step: vectors that a tile has.
        place_block, vector_block: places and vectors of a piece of work.
        image_floats, group_floats: from an image of the input to the next, from a group to the next.
        row_floats, output_floats: of the result: from a place to the next, from a group to the next.
        has_bias, has_addend: 0 or 1.
    """

    images: int
    groups: int
    places: int
    pieces: int
    depth: int
    vectors: int
    last: int
    step: int
    place_block: int
    vector_block: int
    image_floats: int
    group_floats: int
    row_floats: int
    output_floats: int
    has_bias: int
    has_addend: int

    def numbers(self) -> np.ndarray:
        """The plan as the code reads it."""
        return np.array(astuple(self), np.int32)


FIELDS = tuple([field.name for field in fields(Plan)])


@dataclass(frozen=True)
class Work:
    """What is to be cut.

    Attributes:
        found: the windows.
        panels: the shape of the panels.
        outputs: of all groups.
        bias, addend: which tensors are added.
    """

    found: Windows
    panels: tuple[int, ...]
    outputs: int
    bias: bool
    addend: bool

    @property
    def is_depthwise(self) -> bool:
        """Whether each output has a channel of its own."""
        return self.found.groups > 1 and self.panels[0] == 1


def cut(work: Work, most_vectors: int, threads: int) -> Plan:
    """A plan for tiles of so many vectors at most, and so many threads.

    >>> rows = Windows((49, 512), (), (), (), (), (), 1)
    >>> plan = cut(Work(rows, (1, 128, 512, 16), 2048, True, False), 4, 2)
    >>> plan.places, plan.step, plan.place_block, plan.vector_block
    (49, 4, 49, 12)
    """
    found, (groups, vectors, held, lanes) = work.found, work.panels
    images, places = found.counts
    outputs = work.outputs // groups
    step = -(-vectors // -(-vectors // most_vectors))
    steps = -(-vectors // step)
    products = images * places * held * work.outputs * (_DEPTHWISE if work.is_depthwise else 1)
    wanted = max(1, min(_PIECES * threads, products // _PIECE_PRODUCTS))
    fitting = min(steps, max(1, _PANEL_BYTES // (4 * held * lanes * step)))
    per_block = -(-steps // -(-steps // fitting))
    pieces = images * groups * -(-steps // per_block)
    place_blocks = min(-(-wanted // pieces), max(1, places // _LEAST_PLACES))
    if pieces * place_blocks < wanted:
        needed = -(-wanted // (images * groups * place_blocks))
        per_block = max(1, steps // needed)
    place_block = -(-places // place_blocks)
    return Plan(
        images=images, groups=groups, places=places, pieces=held // found.depth, depth=found.depth,
        vectors=vectors, last=outputs - (vectors - 1) * lanes, step=step,
        place_block=place_block, vector_block=per_block * step,
        image_floats=prod(found.shape[1:]), group_floats=found.shape[-1] // groups,
        row_floats=work.outputs, output_floats=outputs,
        has_bias=int(work.bias), has_addend=int(work.addend),
    )  # fmt: skip
