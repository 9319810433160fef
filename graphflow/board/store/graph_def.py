"""TensorFlow's GraphDef as records of nodes, in the form of GraphFlow's own graph.json."""

from __future__ import annotations

from typing import Any

from graphflow.board.store import wire
from graphflow.board.store.decode import message, part, whole
from graphflow.board.store.wire import BYTES, FIXED32, VARINT

_TYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 8: "complex64",
    9: "int64", 10: "bool", 14: "bfloat16", 17: "uint16", 18: "complex128", 19: "float16", 22: "uint32",
    23: "uint64", 24: "float8_e5m2", 25: "float8_e4m3fn", 29: "int4", 30: "uint4",
}  # fmt: skip
_LONGEST = 200
_MOST_AXES = 64


def node_records(data: bytes) -> list[dict[str, Any]]:
    """The nodes of a serialised GraphDef; control inputs are left out, costs are not known and 0.

    Raises:
        Malformed: if it is none.
    """
    return [
        _record(data[start:end])
        for number, kind, start, end in wire.fields(data)
        if (number, kind) == (1, BYTES)
    ]


def _record(data: bytes) -> dict[str, Any]:
    name = op = ""
    inputs: list[str] = []
    attributes: dict[str, bytes] = {}
    for number, kind, start, end in wire.fields(data):
        if kind != BYTES:
            continue
        if number == 1:
            name = wire.text(data, start, end)
        elif number == 2:
            op = wire.text(data, start, end)
        elif number == 3 and data[start : start + 1] != b"^":
            inputs.append(wire.text(data, start, end).removesuffix(":0"))
        elif number == 5:
            entry = data[start:end]
            found = message(entry)
            attributes[part(entry, found, 1).decode("utf-8", "replace")] = part(entry, found, 2)
    kinds = [_shown(attributes[key]) for key in ("dtype", "T") if key in attributes]
    outputs = [
        {"dtype": (kinds or [""])[0], "shape": shape}
        for shape in _shapes(attributes.pop("_output_shapes", b""))
    ]
    line = _shown(attributes.pop("origin", b""))
    return {
        "name": name, "op": op, "scope": name.rpartition("/")[0], "inputs": inputs, "outputs": outputs,
        "line": line, "attrs": {key: _shown(value) for key, value in attributes.items()},
        "flops": 0, "bytes": 0,
    }  # fmt: skip


def _shapes(value: bytes) -> list[list[int | str]]:
    listed = part(value, message(value), 1)
    return [
        _shape(listed[start:end])
        for number, kind, start, end in wire.fields(listed)
        if (number, kind) == (7, BYTES)
    ]


def _shape(data: bytes) -> list[int | str]:
    sizes = [
        whole(message(data[start:end]), 1)
        for number, kind, start, end in wire.fields(data)
        if (number, kind) == (2, BYTES)
    ]
    return [size if size >= 0 else "?" for size in sizes[:_MOST_AXES]]


def _shown(value: bytes) -> str:
    """An AttrValue in words."""
    for number, kind, start, end in wire.fields(value):
        if number == 2 and kind == BYTES:
            return _cut(wire.text(value, start, min(end, start + 4 * _LONGEST)))
        if number in (3, 5) and kind == VARINT:
            return str(wire.signed(start)) if number == 3 else str(bool(start))
        if number == 4 and kind == FIXED32:
            return str(wire.single(value, start))
        if number == 6 and kind == VARINT:
            return _TYPES.get(start, f"type {start}")
        if number == 7 and kind == BYTES:
            return str(_shape(value[start:end]))
        if number == 8 and kind == BYTES:
            return f"tensor of {end - start} bytes"
    return ""


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
