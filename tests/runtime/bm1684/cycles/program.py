"""A small program for tests: tiles that are loaded, convolved, scaled and stored with two buffers each."""

from __future__ import annotations

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.cycles import Stream

LOCAL, DDR, BANK = 0x0800_0000, 1 << 32, 0x1_0000
TILE, BYTES = isa.Shape(1, 64, 28, 28), 64 * 28 * 28 * 4


def move(number: int, wait: int, tile: int, address: int, loads: bool) -> isa.TensorTransfer:
    """A tile from or to DDR."""
    system = DDR + tile * BYTES + (0 if loads else 1 << 29)
    return isa.TensorTransfer(
        id=number,
        wait=wait,
        direction=isa.Direction.LOAD if loads else isa.Direction.STORE,
        source=system if loads else address,
        destination=address if loads else system,
        source_shape=TILE,
        destination_shape=TILE,
    )


def program(tiles: int = 4) -> Stream:
    """Loads of the next tile and stores of the last one go on while the tensor unit works."""
    tiu: list[isa.Command] = []
    gdma: list[isa.Command] = []
    labels: list[str] = []
    loaded: list[int] = []

    def load(tile: int) -> None:
        # The buffer is free once the convolution of the tile before the last is done.
        wait = 2 * (tile - 2) + 1 if tile >= 2 else 0
        gdma.append(move(len(gdma) + 1, wait, tile, LOCAL + tile % 2 * BANK, True))
        labels.append("conv")
        loaded.append(len(gdma))

    load(0)
    for tile in range(tiles):
        if tile + 1 < tiles:
            load(tile + 1)
        given, made, done = (LOCAL + (first + tile % 2) * BANK for first in (0, 2, 4))
        tiu += [
            isa.Convolution(
                id=2 * tile + 1,
                wait=loaded[tile],
                input=isa.Operand(given),
                weights=isa.Operand(LOCAL + 7 * BANK),
                result=isa.Operand(made),
                input_shape=TILE,
                result_shape=TILE,
                kernel=isa.Window(3, 3),
                pads=isa.Pads(1, 1, 1, 1),
            ),
            isa.ScalarArithmetic(
                id=2 * tile + 2,
                wait=len(gdma) - 2 if tile >= 2 else 0,
                operation=isa.Operation.MULTIPLY,
                shape=TILE,
                left=isa.Operand(made),
                right=isa.Constant.of(2.0),
                result=isa.Operand(done),
            ),
        ]
        gdma.append(move(len(gdma) + 1, len(tiu), tile, done, False))
        labels.append("scale")
    return Stream(tiu, gdma, ["conv", "scale"] * tiles, labels)
