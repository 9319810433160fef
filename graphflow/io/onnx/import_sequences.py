"""Import of sequences and optional values, which are lists and None while a model is imported."""

from __future__ import annotations

from typing import Any

from graphflow.errors import FileFormatError
from graphflow.io.onnx.call import Call
from graphflow.ir.node import Tensor
from graphflow.ops import lists, rearrange, standard


def _place(call: Call, position: Tensor | None) -> Any:
    return call.number(position)


def _of_list(say: Any) -> Any:
    """An operator whose first input is a sequence."""

    def say_it(call: Call, xs: Any, *more: Any) -> Any:
        if not isinstance(xs, list):
            raise FileFormatError(
                f"{call.label} needs a sequence", hint="see whether onnx.checker accepts it"
            )
        return say(call, xs, *more)

    return say_it


def _concat(call: Call, xs: list[Tensor]) -> Tensor:
    axis = call.attr("axis")
    return rearrange.stack(xs, axis) if call.flag("new_axis") else standard.concat(*xs, axis=axis)


def _split(call: Call, x: Any, sizes: Any = None) -> list[Tensor]:
    if isinstance(x, list) or isinstance(sizes, list):
        raise FileFormatError(f"{call.label} cannot take a sequence", hint="take one element of it")
    axis, keepdims = call.attr("axis", 0), call.flag("keepdims", True)
    return lists.split(x, call.known(sizes), axis, keepdims)


def _map(call: Call, xs: list[Tensor], *more: Any) -> tuple[Any, ...]:
    body = call.attr("body")
    rows = [
        call.importer.nested(call, body, [x, *[one[i] if isinstance(one, list) else one for one in more]])
        for i, x in enumerate(xs)
    ]
    return tuple([list(column) for column in zip(*rows)]) if rows else ([],) * call.wanted


def _empty(call: Call) -> list[Tensor]:
    return []


TABLE: dict[str, Any] = {
    "ConcatFromSequence": _of_list(_concat),
    "Optional": lambda call, x=None: x,
    "OptionalGetElement": lambda call, x: lists.get_element(x),
    "OptionalHasElement": lambda call, x=None: lists.has_element(x),
    "SequenceAt": _of_list(lambda call, xs, at: lists.at(xs, _place(call, at))),
    "SequenceConstruct": lambda call, *xs: lists.construct(*xs),
    "SequenceEmpty": _empty,
    "SequenceErase": _of_list(lambda call, xs, at=None: lists.erase(xs, _place(call, at))),
    "SequenceInsert": _of_list(lambda call, xs, x, at=None: lists.insert(xs, x, _place(call, at))),
    "SequenceLength": _of_list(lambda call, xs: lists.length(xs)),
    "SequenceMap": _of_list(_map),
    "SplitToSequence": _split,
}
