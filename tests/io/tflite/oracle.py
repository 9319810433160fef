"""TensorFlow Lite's own interpreter: what a model has to compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import graphflow as gf


def expected(content: bytes, feeds: Sequence[np.ndarray], reference: bool = False) -> list[np.ndarray]:
    """The outputs of a model for these inputs, by the reference kernels or by the fast ones."""
    kind = OpResolverType.BUILTIN_REF if reference else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kind)
    for told, value in zip(interpreter.get_input_details(), feeds):
        interpreter.resize_tensor_input(told["index"], value.shape)
    interpreter.allocate_tensors()
    for told, value in zip(interpreter.get_input_details(), feeds):
        interpreter.set_tensor(told["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(told["index"]) for told in interpreter.get_output_details()]


def computed(content: bytes, feeds: Sequence[np.ndarray], backend: str = "numpy") -> list[np.ndarray]:
    """The same by GraphFlow."""
    model = gf.tflite.load(content)
    return list(model.run(dict(zip(model.inputs, feeds)), backend=backend).values())
