"""The innermost kernels: a few rows of a product times a few vectors of outputs, held in registers.

    y[r, o] = clip(sum_(s, d) x_(r, s)[d] panel[s, d, o] + bias[o] + addend[r, o], lower, upper)
    y[r, o] = clip(sum_s      x_(r, s)[o] panel[s, o]    + bias[o] + addend[r, o], lower, upper)

Row r is a place of the result, and x_(r, s) a piece of the input that its window holds, `depth` neighbouring
floats: an index says where, and -1 stands for padding. Each float of the input is spread over a vector and
multiplied with vectors of weights, which lie in the order in which they are read; all sums stay in registers
until the last product is added. So what is computed for a row does not depend on the other rows.

"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from graphflow.runtime.jax.kernels.emit import (
    FLOAT,
    FLOAT_BYTES,
    INT,
    NOTHING,
    POINTER,
    SHORT,
    Code,
    declared,
    function,
    spread,
)

ARGUMENTS = {
    "index": POINTER, "x": POINTER, "zeros": POINTER, "pieces": INT, "depth": INT,
    "panel": POINTER, "panel_floats": INT, "y": POINTER, "row_floats": INT,
    "bias": POINTER, "addend": POINTER, "lower": FLOAT, "upper": FLOAT, "last": INT,
}  # fmt: skip
"""In their order: where the pieces of each row's window are in x, and how many floats they have; the weights
of the first vector, and the floats from one vector's to the next; where the first row of y is, and the floats
to the next; what is added, the bounds, and the outputs in the last vector."""


def tile(module: ir.Module, rows: int, vectors: int, lanes: int, is_depthwise: bool) -> Any:
    """Add the kernel for so many rows and vectors to a module."""
    code, values = function(module, f"tile_{rows}x{vectors}", NOTHING, *ARGUMENTS.values())
    given = dict(zip(ARGUMENTS, values, strict=True))
    add_up = _depthwise_sums if is_depthwise else _sums
    sums = add_up(code, given, rows, vectors, ir.VectorType(FLOAT, lanes))
    _finish(code, given, [sums[row * vectors : (row + 1) * vectors] for row in range(rows)])
    code.ret_void()
    return code.function


def _sums(code: Code, given: dict[str, Any], rows: int, vectors: int, kind: ir.VectorType) -> list[Any]:
    """The sums of products, row by row."""
    depth = given["depth"]
    multiply_add = _multiply_add(code, kind)
    zeros = [ir.Constant(kind, [0.0] * kind.count)] * (rows * vectors)
    with code.loop_carrying(0, given["pieces"], zeros) as (piece, sums, following):
        inputs = _inputs(code, given, piece, rows)
        start = code.mul(piece, depth)
        with code.loop_carrying(0, depth, sums) as (number, partial, advanced):
            weights = _weights(code, given, code.add(start, number), vectors, kind)
            for row in range(rows):
                one = code.load(code.floats_at(inputs[row], number), typ=FLOAT, align=FLOAT_BYTES)
                factor = spread(code, one, kind.count)
                held = partial[row * vectors : (row + 1) * vectors]
                advanced += [code.call(multiply_add, [factor, *pair]) for pair in zip(weights, held)]
        following.extend(advanced)
    return following


def _depthwise_sums(
    code: Code, given: dict[str, Any], rows: int, vectors: int, kind: ir.VectorType
) -> list[Any]:
    """The sums of products of each channel by itself, row by row."""
    multiply_add = _multiply_add(code, kind)
    mask = _mask(code, given["last"], kind.count)
    zeros = [ir.Constant(kind, [0.0] * kind.count)] * (rows * vectors)
    with code.loop_carrying(0, given["pieces"], zeros) as (piece, sums, following):
        weights = _weights(code, given, piece, vectors, kind)
        for row, where in enumerate(_inputs(code, given, piece, rows)):
            for vector in range(vectors):
                place = code.floats_at(where, vector * kind.count)
                factor = _load(code, place, kind, mask if vector + 1 == vectors else None)
                held = sums[row * vectors + vector]
                following.append(code.call(multiply_add, [factor, weights[vector], held]))
    return following


def _multiply_add(code: Code, kind: ir.VectorType) -> Any:
    return declared(code.module, f"llvm.fma.v{kind.count}f32", kind, kind, kind, kind)


def _inputs(code: Code, given: dict[str, Any], piece: Any, rows: int) -> list[Any]:
    """Where a piece of each row's window is."""
    found = []
    for row in range(rows):
        index = code.int_at(given["index"], code.add(code.mul(given["pieces"], INT(row)), piece))
        is_padding = code.icmp_signed("<", index, INT(0))
        found.append(code.select(is_padding, given["zeros"], code.floats_at(given["x"], index)))
    return found


def _weights(code: Code, given: dict[str, Any], number: Any, vectors: int, kind: ir.VectorType) -> list[Any]:
    """A vector of each panel."""
    first = code.floats_at(given["panel"], code.mul(number, INT(kind.count)))
    places = [code.mul(given["panel_floats"], INT(vector)) for vector in range(vectors)]
    return [code.load(code.floats_at(first, place), typ=kind, align=FLOAT_BYTES) for place in places]


def _finish(code: Code, given: dict[str, Any], sums: list[list[Any]]) -> None:
    """Add bias and addend, bound the sums, and store them."""
    kind = sums[0][0].type
    low, high = spread(code, given["lower"], kind.count), spread(code, given["upper"], kind.count)
    last_mask = _mask(code, given["last"], kind.count)
    has_addend = code.icmp_unsigned("!=", given["addend"], POINTER(None))
    for vector in range(len(sums[0])):
        mask = last_mask if vector + 1 == len(sums[0]) else None
        offset = INT(vector * kind.count)
        step = _load(code, code.floats_at(given["bias"], offset), kind, mask)
        for row, found in enumerate(sums):
            place = code.add(code.mul(given["row_floats"], INT(row)), offset)
            value = code.fadd(found[vector], step)
            value = _added(code, value, has_addend, code.floats_at(given["addend"], place), mask)
            value = code.select(code.fcmp_ordered(">", low, value), low, value)
            value = code.select(code.fcmp_ordered("<", high, value), high, value)
            _store(code, value, code.floats_at(given["y"], place), mask)


def _mask(code: Code, count: Any, lanes: int) -> Any:
    """True in the first lanes."""
    numbers = ir.Constant(ir.VectorType(SHORT, lanes), list(range(lanes)))
    return code.icmp_signed("<", numbers, spread(code, code.trunc(count, SHORT), lanes))


def _added(code: Code, value: Any, is_there: Any, where: Any, mask: Any) -> Any:
    """The sum with an addend, where there is one."""
    return code.either(is_there, lambda: code.fadd(value, _load(code, where, value.type, mask)), value)


def _load(code: Code, where: Any, kind: ir.VectorType, mask: Any) -> Any:
    if mask is None:
        return code.load(where, typ=kind, align=FLOAT_BYTES)
    name = f"llvm.masked.load.v{kind.count}f32.p0"
    rule = declared(code.module, name, kind, POINTER, SHORT, mask.type, kind)
    return code.call(rule, [where, SHORT(FLOAT_BYTES), mask, ir.Constant(kind, [0.0] * kind.count)])


def _store(code: Code, value: Any, where: Any, mask: Any) -> None:
    if mask is None:
        code.store(value, where, align=FLOAT_BYTES)
        return
    name = f"llvm.masked.store.v{value.type.count}f32.p0"
    rule = declared(code.module, name, NOTHING, value.type, POINTER, SHORT, mask.type)
    code.call(rule, [value, where, SHORT(FLOAT_BYTES), mask])
