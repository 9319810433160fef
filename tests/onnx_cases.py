"""The onnx package's own cases for an operator: a node with its attributes, inputs and expected outputs."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx.backend.test.case import node as collected


class Case(NamedTuple):
    """One call of an operator; an optional input that is left out is None, and so is an unasked output."""

    name: str
    attributes: dict[str, Any]
    inputs: list[np.ndarray | None]
    outputs: list[np.ndarray | None]


def cases(module: str, op_type: str) -> list[Case]:
    """The cases that the module of that name under onnx.backend.test.case.node has for an operator."""
    importlib.import_module(f"onnx.backend.test.case.node.{module}")
    found = []
    for case in collected._NodeTestCases:
        nodes = case.model.graph.node
        if len(nodes) == 1 and nodes[0].op_type == op_type:
            (inputs, outputs), *_ = case.data_sets
            found.append(
                Case(
                    case.name,
                    {one.name: onnx.helper.get_attribute_value(one) for one in nodes[0].attribute},
                    _placed(nodes[0].input, inputs),
                    _placed(nodes[0].output, outputs),
                )
            )
    return found


def _placed(names: Any, values: Any) -> list[np.ndarray | None]:
    """The values in the places of the named inputs or outputs."""
    rest = iter(values)
    return [next(rest) if name else None for name in names]
