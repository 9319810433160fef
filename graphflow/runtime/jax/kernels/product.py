"""The kernels of packed convolutions and products: pieces of the result, cut into register tiles.

There are two, which differ in the innermost kernel: in one an output is made of all channels of its group,
in the other, the depthwise one, of its own channel alone. How a call is cut, and where its windows lie, is in
the program as integers; see `plan` and `places`. The code here counts through the tiles of a piece and calls
the innermost kernel for each.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from graphflow.runtime.jax.kernels import parallel
from graphflow.runtime.jax.kernels.emit import (
    FLOAT,
    FLOAT_BYTES,
    INT,
    NOTHING,
    POINTER,
    SHORT,
    Code,
    PointerTo,
    address,
    function,
)
from graphflow.runtime.jax.kernels.machine import Machine
from graphflow.runtime.jax.kernels.plan import FIELDS
from graphflow.runtime.jax.kernels.tile import ARGUMENTS, tile

_POINTERS = ("index", "x", "zeros", "panels", "bias", "addend", "y")
_BOUNDS = 8 * (len(FIELDS) + len(_POINTERS))
_JOB_BYTES = _BOUNDS + 8


def add_product(module: ir.Module, machine: Machine, is_depthwise: bool) -> str:
    """Add the handler of one of the kernels for a machine to a module; its name."""
    kind = "depthwise" if is_depthwise else "product"
    name = f"graphflow_{kind}_{machine.lanes}_{machine.registers}"
    parallel.handler(module, name, _JOB_BYTES, _fill, _piece(module, Tiles(module, machine, is_depthwise)))
    return name


class Tiles:
    """The innermost kernels of a module, and what tells which of them to call.

    Attributes:
        lanes: floats in a vector.
        most_rows: rows of the tallest tile.
        table: the address of pairs (kernel, its rows), for each number of vectors and of rows that are left.
    """

    def __init__(self, module: ir.Module, machine: Machine, is_depthwise: bool) -> None:
        tiles = machine.tiles(is_depthwise)
        self.lanes, self.is_depthwise = machine.lanes, is_depthwise
        self.most_rows = max([rows[0] for rows in tiles.values()])
        entries = []
        for vectors, sizes in sorted(tiles.items()):
            kernels = {rows: tile(module, rows, vectors, machine.lanes, is_depthwise) for rows in sizes}
            for left in range(1, self.most_rows + 1):
                rows = max([size for size in sizes if size <= left])
                where = f"ptrtoint (ptr {kernels[rows].get_reference()} to i64)"
                entries += [ir.FormattedConstant(INT, where), INT(rows)]
        kind = ir.ArrayType(INT, len(entries))
        table = ir.GlobalVariable(module, kind, "tiles")
        table.global_constant, table.initializer = True, ir.Constant(kind, entries)
        self.table = address(table)


def _fill(code: Code, frame: parallel.Frame, job: Any) -> Any:
    """Write what pieces need to know; the number of pieces.

    Operands: the plan, the index, zeros, bounds, x, panels, then bias and addend where there are.
    """
    plan, index, zeros, bounds, x, panels = [frame.operand(number) for number in range(6)]
    values = {}
    for place, name in enumerate(FIELDS):
        values[name] = code.int_at(plan, place)
        code.store(values[name], code.bytes_at(job, 8 * place))
    with_bias = code.icmp_signed("!=", values["has_bias"], INT(0))
    with_addend = code.icmp_signed("!=", values["has_addend"], INT(0))
    bias = code.either(with_bias, lambda: frame.operand(6), zeros)
    further = code.select(with_bias, INT(7), INT(6))
    addend = code.either(with_addend, lambda: frame.operand(further), POINTER(None))
    pointers = (index, x, zeros, panels, bias, addend, frame.result())
    for place, pointer in enumerate(pointers, len(FIELDS)):
        code.store(pointer, code.bytes_at(job, 8 * place))
    code.store(code.load(bounds, typ=INT, align=4), code.bytes_at(job, _BOUNDS))
    blocks = code.mul(_blocks(code, values, "place"), _blocks(code, values, "vector"))
    return code.mul(blocks, code.mul(values["groups"], values["images"]))


def _blocks(code: Code, values: dict[str, Any], what: str) -> Any:
    """How many blocks of places, or of vectors, there are."""
    block = values[f"{what}_block"]
    return code.sdiv(code.add(values[f"{what}s"], code.sub(block, INT(1))), block)


def _piece(module: ir.Module, tiles: Tiles) -> Any:
    """The function that computes one piece."""
    code, (job, number) = function(module, "piece", NOTHING, POINTER, INT)
    held = {name: code.load(code.bytes_at(job, 8 * place), typ=INT) for place, name in enumerate(FIELDS)}
    held |= {name: code.pointer_at(job, 8 * place) for place, name in enumerate(_POINTERS, len(FIELDS))}
    for place, name in enumerate(("lower", "upper")):
        held[name] = code.load(code.bytes_at(job, _BOUNDS + FLOAT_BYTES * place), typ=FLOAT, align=4)
    numbers = []
    for count in (_blocks(code, held, "place"), _blocks(code, held, "vector"), held["groups"]):
        numbers.append(code.srem(number, count))
        number = code.sdiv(number, count)
    place_block, vector_block, group = numbers
    _blocked(code, held, tiles, (number, group, place_block, vector_block))
    code.ret_void()
    return code.function


def _blocked(code: Code, held: dict[str, Any], tiles: Tiles, where: tuple[Any, ...]) -> None:
    """The loop over the vectors of a piece."""
    image, group, place_block, vector_block = where
    lanes = INT(tiles.lanes)
    floats = code.add(code.mul(image, held["image_floats"]), code.mul(group, held["group_floats"]))
    held["x"] = code.floats_at(held["x"], floats)
    held["panel_floats"] = code.mul(code.mul(held["pieces"], held["depth"]), lanes)
    skipped = code.mul(code.mul(group, held["vectors"]), held["panel_floats"])
    panels = code.floats_at(held["panels"], skipped)
    held["first_row"] = code.mul(image, held["places"])
    held["from"] = code.mul(place_block, held["place_block"])
    held["to"] = code.least(code.add(held["from"], held["place_block"]), held["places"])
    start = code.mul(vector_block, held["vector_block"])
    stop = code.least(code.add(start, held["vector_block"]), held["vectors"])
    has_bias = code.icmp_signed("!=", held["has_bias"], INT(0))
    with code.loop(start, stop, held["step"]) as vector:
        vectors = code.least(held["step"], code.sub(stop, vector))
        is_last = code.icmp_signed("==", code.add(vector, vectors), held["vectors"])
        output = code.add(code.mul(group, held["output_floats"]), code.mul(vector, lanes))
        given = {
            "last": code.select(is_last, held["last"], lanes),
            "panel": code.floats_at(panels, code.mul(vector, held["panel_floats"])),
            "bias": code.floats_at(held["bias"], code.select(has_bias, output, INT(0))),
        }
        if tiles.is_depthwise:
            given["x"] = code.floats_at(held["x"], output)
        entries = code.mul(code.sub(vectors, INT(1)), INT(2 * tiles.most_rows))
        kernels = code.gep(tiles.table, [entries], source_etype=INT)
        _rows(code, held | given, kernels, output, tiles.most_rows)


def _rows(code: Code, held: dict[str, Any], kernels: Any, output: Any, most_rows: int) -> None:
    """The loop over the places of a piece: the largest tile that fits, again and again."""
    has_addend = code.icmp_signed("!=", held["has_addend"], INT(0))
    step: list[Any] = []
    with code.loop(held["from"], held["to"], step) as place:
        left = code.least(code.sub(held["to"], place), INT(most_rows))
        entry = code.gep(kernels, [code.mul(code.sub(left, INT(1)), INT(2))], source_etype=INT)
        step.append(code.load(code.bytes_at(entry, 8), typ=INT))
        offset = code.add(code.mul(code.add(held["first_row"], place), held["row_floats"]), output)
        given = held | {
            "index": code.gep(held["index"], [code.mul(place, held["pieces"])], source_etype=SHORT),
            "y": code.floats_at(held["y"], offset),
            "addend": code.select(has_addend, code.floats_at(held["addend"], offset), POINTER(None)),
        }
        kind = PointerTo(ir.FunctionType(NOTHING, list(ARGUMENTS.values())))
        code.call(code.load(entry, typ=kind), [given[name] for name in ARGUMENTS])
