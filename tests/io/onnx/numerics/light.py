"""The nine light models of the package onnx, with random weights and smaller images.

They are AlexNet, DenseNet, Inception and so on as they were in 2017, of opset 9. Their own weights are all
0.02, so that their outputs say little. With images of 64 by 64 pixels all nodes stay, with their options, but
for the windows of the last pooling, which cover what is left, and the sizes of large dense layers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, shape_inference

from tests.io.onnx.numerics.weights import filled

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NAMES = tuple(path.stem.removeprefix("light_") for path in sorted(FOLDER.glob("light_*.onnx")))
MOST_DENSE = 256
"""The width that the dense layers of AlexNet, VGG and ZFNet have in the place of 4096."""


def light_model(name: str, pixels: int = 64) -> onnx.ModelProto:
    """One of them with weights, for images of so many pixels a side."""
    return filled(_smaller(onnx.load(FOLDER / f"light_{name}.onnx"), pixels))


def image(model: onnx.ModelProto, seed: int = 0) -> dict[str, np.ndarray]:
    """A feed of normal numbers."""
    weights = {tensor.name for tensor in model.graph.initializer}
    (entry,) = [entry for entry in model.graph.input if entry.name not in weights]
    shape = [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
    return {entry.name: np.random.default_rng(seed).standard_normal(shape).astype(np.float32)}


def _smaller(model: onnx.ModelProto, pixels: int) -> onnx.ModelProto:
    graph = model.graph
    before = _sizes(model)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    shapes_of = {node.output[0]: constants[node.input[0]] for node in graph.node if _is_weight(node)}
    for entry in graph.input:
        if entry.name not in constants:
            for dim in entry.type.tensor_type.shape.dim[2:]:
                dim.dim_value = pixels
    for node in graph.node:
        if node.op_type == "Reshape":
            _scale(constants[node.input[1]], pixels / 224)
        elif node.op_type == "Gemm":
            for name in node.input[1:]:
                if name in shapes_of:
                    _narrow(shapes_of[name])
    del graph.value_info[:]
    sizes = _sizes(model)
    for node in graph.node:
        if node.op_type == "AveragePool" and before[node.output[0]][2:] == [1, 1]:
            options = {one.name: one.ints for one in node.attribute}
            pads = options.get("pads", (0, 0, 0, 0))
            height, width = sizes[node.input[0]][2:]
            options["kernel_shape"][:] = height + pads[0] + pads[2], width + pads[1] + pads[3]
    sizes = _sizes(model)
    for node in graph.node:
        if node.op_type == "Gemm" and node.input[1] in shapes_of:
            _replace(shapes_of[node.input[1]], 1, sizes[node.input[0]][1])
            break
    return model


def _is_weight(node: onnx.NodeProto) -> bool:
    return node.op_type == "ConstantOfShape"


def _sizes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """The shapes of all that can be told."""
    made = shape_inference.infer_shapes(model, data_prop=True)
    return {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*made.graph.value_info, *made.graph.output, *made.graph.input]
    }


def _scale(tensor: onnx.TensorProto, factor: float) -> None:
    """Let a shape that Reshape is given, of an image or of one row, be one for another number of pixels."""
    shape = numpy_helper.to_array(tensor).copy()
    if len(shape) > 2:
        shape[-2:] = np.rint(shape[-2:] * factor)
    else:
        shape[-1] = -1
    tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))


def _narrow(tensor: onnx.TensorProto) -> None:
    shape = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array(np.where(shape == 4096, MOST_DENSE, shape), tensor.name))


def _replace(tensor: onnx.TensorProto, place: int, size: int) -> None:
    shape = numpy_helper.to_array(tensor).copy()
    shape[place] = size
    tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))
