"""One operator of ONNX's default domain as its reference evaluator computes it."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

OPSET = 28


def onnx_run(kind: str, *inputs: Any, outputs: int = 1, opset: int = OPSET, **attributes: Any) -> Any:
    """The results of the operator; None in place of an optional input leaves it out."""
    arrays = {f"x{index}": np.asarray(value) for index, value in enumerate(inputs) if value is not None}
    names = [f"x{index}" if value is not None else "" for index, value in enumerate(inputs)]
    made = [f"y{index}" for index in range(outputs)]
    node = helper.make_node(kind, names, made, **attributes)
    inside = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in arrays.items()
    ]
    outside = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in made]
    graph = helper.make_graph([node], "one", inside, outside)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    results = ReferenceEvaluator(model).run(None, arrays)
    return results[0] if outputs == 1 else results


def onnx_pads(pairs: Any) -> list[int]:
    """ONNX's list of all beginnings and all ends from (before, after) pairs."""
    return [before for before, _ in pairs] + [after for _, after in pairs]
