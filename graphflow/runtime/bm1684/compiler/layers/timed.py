"""A piece of work with its cycles, counted from the commands that it would give."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient, Places, Work
from graphflow.runtime.bm1684.compiler.tensors import Box, Tile
from graphflow.runtime.bm1684.cycles import cycles


def timed(
    build: Callable[[Places], Sequence[isa.Command]],
    inputs: Sequence[Box],
    output: Box,
    coefficients: Sequence[Coefficient] = (),
    scratch: Sequence[int] = (),
) -> Work:
    """The work that `build` does.

    Arguments:
        inputs, output: what the tiles hold, as far as it is known.
    """
    places = Places(
        inputs=tuple([Tile(0, box) for box in inputs]),
        output=Tile(0, output),
        coefficients=(0,) * len(coefficients),
        scratch=(0,) * len(scratch),
    )
    took = sum([cycles(command) for command in build(places) if command.ENGINE == "tiu"])
    return Work(build=build, cycles=took, coefficients=tuple(coefficients), scratch=tuple(scratch))
