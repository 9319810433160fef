"""Import of branches and loops: as `cond`, `scan` and `while_loop`, or laid out where steps differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from graphflow.errors import FileFormatError, GraphFlowError
from graphflow.io.onnx.call import Call, Value, ValueNeeded
from graphflow.ir import dtypes
from graphflow.ir.graph import default_graph
from graphflow.ir.node import Tensor
from graphflow.ops import branching, comparison, creation, declare, looping, rearrange, standard

MOST_STEPS = 1024
"""The most steps of a loop that is laid out, step by step."""


def _known(value: Value) -> Any:
    """What a tensor holds if it is known without any feed, else None."""
    try:
        found = value.known_value()
    except GraphFlowError:
        return None
    while isinstance(found, tuple) and len(found) == 1:
        (found,) = found
    return found if isinstance(found, (bool, int)) else None


def _are_tensors(values: Sequence[Value]) -> bool:
    return all(isinstance(value, Tensor) for value in values)


# Branches


def _if(call: Call, condition: Tensor) -> tuple[Value, ...]:
    chosen = _known(condition)
    branches = call.attr("then_branch"), call.attr("else_branch")
    if chosen is not None:
        return tuple(call.importer.nested(call, branches[0 if chosen else 1], []))
    predicate = standard.reshape(condition, ()) if condition.ndim else condition

    def taken(branch: onnx.GraphProto) -> Any:
        def run() -> tuple[Value, ...]:
            made = call.importer.nested(call, branch, [])
            if not _are_tensors(made):
                raise call.needed([condition])
            return tuple(made)

        return run

    try:
        return tuple(branching.cond(predicate, taken(branches[0]), taken(branches[1])))
    except ValueNeeded:
        raise
    except GraphFlowError as error:
        if call.importer.inputs_above([condition]):
            raise call.needed([condition]) from error
        raise


# Loops


def _loop(call: Call, count: Tensor | None, going: Tensor | None, *carried: Value) -> tuple[Value, ...]:
    body = call.attr("body")
    try:
        if _are_tensors(carried):
            with default_graph().attempt():
                return _traced(call, body, count, going, list(carried))
    except ValueNeeded as error:
        if error.names:
            raise
    except GraphFlowError:
        if count is None and going is None:
            raise
    return _laid_out(call, body, count, going, list(carried))


def _follows(body: onnx.GraphProto, name: str) -> str:
    """The name that a name of a body repeats."""
    above = {node.output[0]: node.input[0] for node in body.node if node.op_type == "Identity" and node.input}
    for _ in range(len(above) + 1):
        name = above.get(name, name)
    return name


def _always_goes_on(body: onnx.GraphProto) -> bool:
    """Whether the condition that a step gives is that which it was given, or always true."""
    name = _follows(body, body.output[0].name)
    if len(body.input) > 1 and name == body.input[1].name:
        return True
    for node in body.node:
        if name in node.output and node.op_type == "Constant" and node.attribute:
            return bool(node.attribute[0].t.int32_data or node.attribute[0].t.raw_data) and bool(
                np.any(onnx.numpy_helper.to_array(node.attribute[0].t))
            )
    return False


def _traced(
    call: Call, body: onnx.GraphProto, count: Tensor | None, going: Tensor | None, carried: list[Tensor]
) -> tuple[Value, ...]:
    """The loop as one node with a body."""
    scanned = len(body.output) - 1 - len(carried)
    first = True if going is None else _known(going)
    if first is False and going is not None:
        raise call.needed([going])
    if count is not None and first and _always_goes_on(body):
        return _counted(call, body, count, carried)
    if scanned > 0:
        raise call.needed([value for value in (count, going) if value is not None])
    return _conditional(call, body, count, going, carried)


def _counted(call: Call, body: onnx.GraphProto, count: Tensor, carried: list[Tensor]) -> tuple[Value, ...]:
    length = call.number(count)
    length = max(length, 0) if isinstance(length, int) else length

    def step(state: tuple[Tensor, ...], number: Tensor) -> Any:
        given = [standard.reshape(number, body_shape(body, 0)), declare.constant(True), *state]
        _, *made = call.importer.nested(call, body, given)
        return tuple(made[: len(carried)]), tuple(made[len(carried) :])

    last, rows = looping.scan(step, tuple(carried), creation.arange(length, dtype=dtypes.int64))
    return (*last, *rows)


def body_shape(body: onnx.GraphProto, index: int) -> tuple[int, ...]:
    """The shape of the number of the step, as the body has it: [] or [1]."""
    shape = body.input[index].type.tensor_type.shape
    return (1,) if len(shape.dim) == 1 else ()


def _conditional(
    call: Call,
    body: onnx.GraphProto,
    count: Tensor | None,
    going: Tensor | None,
    carried: list[Tensor],
) -> tuple[Value, ...]:
    limit = None if count is None else standard.reshape(count, ())
    start = declare.constant(True) if going is None else standard.reshape(going, ())

    def goes_on(state: Any) -> Tensor:
        number, flag, _ = state
        return flag if limit is None else comparison.logical_and(flag, comparison.less(number, limit))

    def step(state: Any) -> Any:
        number, flag, values = state
        flag, *made = call.importer.nested(
            call, body, [standard.reshape(number, body_shape(body, 0)), flag, *values]
        )
        return number + 1, standard.reshape(flag, ()), tuple(made)

    zero = declare.constant(np.int64(0))
    _, _, last = looping.while_loop(goes_on, step, (zero, start, tuple(carried)))
    return tuple(last)


def _laid_out(
    call: Call, body: onnx.GraphProto, count: Tensor | None, going: Tensor | None, carried: list[Value]
) -> tuple[Value, ...]:
    """The loop as the nodes of all its steps, where its carries are no tensors, or change their shapes."""
    number = len(carried)
    rows: list[list[Tensor]] = [[] for _ in range(len(body.output) - 1 - number)]
    asked = [value for value in (count, going) if value is not None and _known(value) is None]
    if asked:
        raise call.needed(asked)
    most = None if count is None else _known(count)
    flag: Value = declare.constant(True) if going is None else going
    step = 0
    while (most is None or step < most) and _goes_on(call, flag):
        if step >= MOST_STEPS:
            raise FileFormatError(
                f"{call.label} would be laid out in more than {MOST_STEPS} steps",
                hint="let its carries keep their shapes, so that it can stay a loop",
            )
        index = declare.constant(np.full(body_shape(body, 0), step, np.int64))
        flag, *made = call.importer.nested(call, body, [index, flag, *carried])
        carried = made[:number]
        for row, value in zip(rows, made[number:]):
            row.append(value)
        step += 1
    return (*carried, *[_stacked(call, body, row, place + 1 + number) for place, row in enumerate(rows)])


def _goes_on(call: Call, flag: Tensor) -> bool:
    found = _known(flag)
    if found is None:
        raise call.needed([flag])
    return bool(found)


def _stacked(call: Call, body: onnx.GraphProto, row: list[Tensor], index: int) -> Tensor:
    if row:
        return rearrange.stack(row)
    kind = body.output[index].type.tensor_type
    from graphflow.io.onnx.tensors import dtype_of

    return creation.zeros((0, *[dim.dim_value for dim in kind.shape.dim]), dtype_of(kind.elem_type))


# Scans


def _scan(call: Call, *given: Value) -> tuple[Value, ...]:
    body, count = call.attr("body"), call.attr("num_scan_inputs")
    if call.version >= 9:
        return _scanned(
            call, body, list(given[: len(given) - count]), list(given[len(given) - count :]), "scan"
        )
    values = list(given[1:])
    if given and given[0] is not None:
        raise FileFormatError(
            "Scan with sequence_lens is not supported", hint="export it with opset 9 or later"
        )
    states, sequences = values[: len(values) - count], values[len(values) - count :]
    batch = sequences[0].shape[0]
    if not isinstance(batch, int):
        raise call.needed([])
    rows = [
        _scanned(call, body, [state[i] for state in states], [xs[i] for xs in sequences], "")
        for i in range(batch)
    ]
    return tuple([rearrange.stack(list(column)) for column in zip(*rows)])


def _scanned(
    call: Call, body: onnx.GraphProto, states: list[Tensor], sequences: list[Tensor], kind: str
) -> tuple[Value, ...]:
    backward = call.attr(f"{kind}_input_directions" if kind else "directions", [])
    axes = call.attr("scan_input_axes", [])
    for index, xs in enumerate(sequences):
        if index < len(axes) and axes[index]:
            xs = rearrange.moveaxis(xs, axes[index], 0)
        sequences[index] = rearrange.flip(xs, 0) if index < len(backward) and backward[index] else xs

    def step(state: Any, slices: Any) -> Any:
        made = call.importer.nested(call, body, [*state, *slices])
        return tuple(made[: len(states)]), tuple(made[len(states) :])

    last, rows = looping.scan(step, tuple(states), tuple(sequences))
    return (*last, *_placed_rows(call, list(rows)))


def _placed_rows(call: Call, rows: list[Tensor]) -> list[Tensor]:
    """The results of all steps, in the order and along the axis that the node asks for."""
    backward, axes = call.attr("scan_output_directions", []), call.attr("scan_output_axes", [])
    for index, row in enumerate(rows):
        row = rearrange.flip(row, 0) if index < len(backward) and backward[index] else row
        rows[index] = rearrange.moveaxis(row, 0, axes[index]) if index < len(axes) and axes[index] else row
    return rows


TABLE: dict[str, Any] = {"If": _if, "Loop": _loop, "Scan": _scan}
