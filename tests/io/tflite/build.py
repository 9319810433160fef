"""Writes small .tflite files with the builder functions of the package `tflite`: one operator, or a few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

KINDS = {
    "float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "complex64": 8,
    "int8": 9, "uint32": 15,
}  # fmt: skip

_CODES = {name: number for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}
_OPTIONS = {name: number for name, number in vars(tflite.BuiltinOptions).items() if isinstance(number, int)}


@dataclass
class Net:
    """A subgraph that is being written down: tensors, operators, and what goes in and out."""

    tensors: list[dict[str, Any]] = field(default_factory=list)
    operators: list[dict[str, Any]] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def tensor(
        self,
        shape: Sequence[int],
        dtype: Any = "float32",
        data: np.ndarray | None = None,
        scale: Any = None,
        zero: Any = 0,
        axis: int = 0,
        name: str = "",
        variable: bool = False,
    ) -> int:
        """The number of a new tensor; a size of -1 is one that is not known."""
        self.tensors.append(
            {
                "shape": list(shape), "kind": KINDS[np.dtype(dtype).name], "data": data, "scale": scale,
                "zero": zero, "axis": axis, "name": name or f"t{len(self.tensors)}", "variable": variable,
            }
        )  # fmt: skip
        return len(self.tensors) - 1

    def input(self, shape: Sequence[int], dtype: Any = "float32", **how: Any) -> int:
        """A tensor that is fed."""
        self.inputs.append(self.tensor(shape, dtype, **how))
        return self.inputs[-1]

    def constant(self, value: Any, dtype: Any = None, **how: Any) -> int:
        """A tensor that holds a value."""
        array = np.asarray(value, dtype)
        return self.tensor(array.shape, array.dtype, array, **how)

    def op(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: str = "",
        custom: str = "",
        version: int = 1,
        **values: Any,
    ) -> None:
        """Add an operator; `options` names the kind of its options, `values` are theirs."""
        self.operators.append(
            {
                "code": _CODES[name], "custom": custom, "version": version, "inputs": list(inputs),
                "outputs": list(outputs), "options": options, "values": values,
            }
        )  # fmt: skip

    def out(self, *places: int) -> Net:
        """Say what goes out."""
        self.outputs = list(places)
        return self


class Writer:
    """Puts nets into one flatbuffer; with `share`, constants that are equal lie in one place."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1024)
        self.buffers: list[bytes] = [b""]
        self.codes: list[tuple[int, str, int]] = []
        self.share = False

    def file(self, nets: Sequence[Net], signature: Mapping[str, Mapping[str, int]] | None = None) -> bytes:
        """The bytes of a file with these subgraphs."""
        graphs = [self.net(net) for net in nets]
        codes = [self.code(*code) for code in self.codes]
        buffers = [self.buffer(data) for data in self.buffers]
        signed = [self.signature(signature)] if signature is not None else []
        b = self.builder
        parts = {
            "Subgraphs": self.offsets(graphs), "OperatorCodes": self.offsets(codes),
            "Buffers": self.offsets(buffers), "Description": b.CreateString("written by a test"),
        }  # fmt: skip
        if signed:
            parts["SignatureDefs"] = self.offsets(signed)
        b.Finish(self.table("Model", {"Version": 3, **parts}), b"TFL3")
        return bytes(b.Output())

    def net(self, net: Net) -> int:
        tensors = self.offsets([self.tensor(one) for one in net.tensors])
        operators = self.offsets([self.operator(one) for one in net.operators])
        return self.table(
            "SubGraph",
            {
                "Tensors": tensors, "Operators": operators, "Inputs": self.numbers(net.inputs, "Int32"),
                "Outputs": self.numbers(net.outputs, "Int32"), "Name": self.builder.CreateString("main"),
            },
        )  # fmt: skip

    def tensor(self, one: dict[str, Any]) -> int:
        place = 0
        if one["data"] is not None:
            data = np.ascontiguousarray(one["data"]).tobytes()
            place = self.buffers.index(data) if self.share and data in self.buffers else len(self.buffers)
            self.buffers += [data] if place == len(self.buffers) else []
        values = {
            "Shape": self.numbers([max(size, 1) if size < 0 else size for size in one["shape"]], "Int32"),
            "Name": self.builder.CreateString(one["name"]),
        }
        if -1 in one["shape"]:
            values["ShapeSignature"] = self.numbers(one["shape"], "Int32")
        if one["scale"] is not None:
            scale = np.atleast_1d(np.asarray(one["scale"], np.float32)).tolist()
            zero = np.broadcast_to(np.asarray(one["zero"], np.int64), len(scale)).tolist()
            values["Quantization"] = self.table(
                "QuantizationParameters",
                {
                    "Scale": self.numbers(scale, "Float32"), "ZeroPoint": self.numbers(zero, "Int64"),
                    "QuantizedDimension": one["axis"],
                },
            )  # fmt: skip
        plain = {"Type": one["kind"], "Buffer": place, "IsVariable": one["variable"]}
        return self.table("Tensor", {**values, **plain})

    def operator(self, one: dict[str, Any]) -> int:
        key = one["code"], one["custom"], one["version"]
        if key not in self.codes:
            self.codes.append(key)
        values: dict[str, Any] = {
            "Inputs": self.numbers(one["inputs"], "Int32"), "Outputs": self.numbers(one["outputs"], "Int32"),
        }  # fmt: skip
        if one["options"]:
            held = {
                name: self.numbers(value, "Int32") if isinstance(value, (list, tuple)) else value
                for name, value in one["values"].items()
            }
            values["BuiltinOptions"] = self.table(one["options"], held)
            values["BuiltinOptionsType"] = _OPTIONS[one["options"]]
        return self.table("Operator", {"OpcodeIndex": self.codes.index(key), **values})

    def code(self, number: int, custom: str, version: int) -> int:
        values: dict[str, Any] = {"CustomCode": self.builder.CreateString(custom)} if custom else {}
        plain = {"BuiltinCode": number, "DeprecatedBuiltinCode": min(number, 127), "Version": version}
        return self.table("OperatorCode", {**values, **plain})

    def buffer(self, data: bytes) -> int:
        if not data:
            return self.table("Buffer", {})
        self.builder.StartVector(1, len(data), 16)
        self.builder.head -= len(data)
        self.builder.Bytes[self.builder.head : self.builder.head + len(data)] = data
        return self.table("Buffer", {"Data": self.builder.EndVector()})

    def signature(self, named: Mapping[str, Mapping[str, int]]) -> int:
        sides = {
            side: self.offsets(
                [
                    self.table("TensorMap", {"Name": self.builder.CreateString(name), "TensorIndex": place})
                    for name, place in named[side.lower()].items()
                ]
            )
            for side in ("Inputs", "Outputs")
        }
        key = self.builder.CreateString("serving_default")
        return self.table("SignatureDef", {**sides, "SignatureKey": key, "SubgraphIndex": 0})

    # What all are made of

    def table(self, kind: str, values: Mapping[str, Any]) -> int:
        """A table of that kind, with the fields that are given."""
        module = getattr(tflite, kind, None)
        module = (
            __import__(f"tflite.{kind}", fromlist=[kind]) if not hasattr(module, f"{kind}Start") else module
        )
        getattr(module, f"{kind}Start")(self.builder)
        for name, value in values.items():
            getattr(module, f"{kind}Add{name}")(self.builder, value)
        return int(getattr(module, f"{kind}End")(self.builder))

    def numbers(self, values: Sequence[Any], kind: str) -> int:
        width = {"Int32": 4, "Float32": 4, "Int64": 8}[kind]
        self.builder.StartVector(width, len(values), width)
        for value in reversed(values):
            getattr(self.builder, f"Prepend{kind}")(value)
        return int(self.builder.EndVector())

    def offsets(self, places: Sequence[int]) -> int:
        self.builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            self.builder.PrependUOffsetTRelative(place)
        return int(self.builder.EndVector())


def file_of(*nets: Net, signature: Mapping[str, Mapping[str, int]] | None = None) -> bytes:
    """The bytes of a file with these subgraphs, of which the first is the main one."""
    return Writer().file(nets, signature)
