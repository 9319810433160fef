"""A piece of work with its cycles, counted from the commands that it would give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient, Places, Work
from graphflow.runtime.bm1684.compiler.tensors import WORD, Box, Tile
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
    return Work(
        build=build,
        counted=lambda: counted(build, inputs, output, len(coefficients), len(scratch)),
        moves=lambda: counted(build, inputs, output, len(coefficients), len(scratch), "gdma"),
        coefficients=tuple(coefficients),
        scratch=tuple(scratch),
    )


def counted(
    build: Callable[[Places], Sequence[isa.Command]],
    inputs: Sequence[Box],
    output: Box,
    coefficients: int = 0,
    scratch: int = 0,
    engine: str = "tiu",
) -> int:
    """Cycles of an engine for what `build` gives, with so many coefficients and temporaries."""
    # No two begin at the same place, as what is done in place may take other commands.
    apart = count(0, WORD)
    places = Places(
        inputs=tuple([Tile(next(apart), box) for box in inputs]),
        output=Tile(next(apart), output),
        coefficients=tuple([next(apart) for _ in range(coefficients)]),
        scratch=tuple([next(apart) for _ in range(scratch)]),
    )
    return sum([cycles(command) for command in build(places) if engine == command.ENGINE])
