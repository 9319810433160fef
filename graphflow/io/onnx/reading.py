"""Reading an ONNX file: what it is, which operator sets it uses, and whether it hangs together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import onnx

from graphflow.errors import FileFormatError
from graphflow.io.onnx.slimming import slimmed

NEWEST = 28
"""The newest operator set of ONNX's own domain that is known."""

DEEPEST = 32
"""How deep branches, loops and functions may lie in one another."""

_OWN = ("", "ai.onnx")
_HINT = "give the path of an .onnx file, its bytes, or a ModelProto"


def read_model(source: Any) -> tuple[onnx.ModelProto, Path | None]:
    """The model in a file, in bytes or given, and the folder in which its other files may lie.

    Raises:
        FileFormatError: if there is none.
    """
    if isinstance(source, onnx.ModelProto):
        return source, None
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _parsed(bytes(source), "the bytes"), None
    if not isinstance(source, (str, os.PathLike)):
        raise FileFormatError(f"{source!r:.80} is no ONNX model", hint=_HINT)
    path = Path(source)
    try:
        content = slimmed(path) or path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"{str(path)!r} cannot be read: {error.strerror}", hint=_HINT) from None
    return _parsed(content, repr(str(path))), path.parent


def _parsed(content: bytes, what: str) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # of the package protobuf, which has a class of its own for this
        raise FileFormatError(
            f"there is no ONNX model in {what:.200}: {error!s:.200}",
            hint="the file is of another kind, was cut off or changed",
        ) from None
    if not model.HasField("graph"):
        raise FileFormatError(f"there is no ONNX model in {what:.200}: it has no graph", hint=_HINT)
    return model


def opsets(imports: Any, own: int = 1) -> dict[str, int]:
    """The version of each operator set that a model or function uses, "" for ONNX's own (`own` by default).

    Raises:
        FileFormatError: for a version of ONNX's own set that is not known.
    """
    found: dict[str, int] = {}
    for entry in imports:
        domain = "" if entry.domain in _OWN else entry.domain
        found[domain] = max(entry.version, found.get(domain, 0))
    version = found.setdefault("", own)
    if not 1 <= version <= NEWEST:
        raise FileFormatError(
            f"the model uses opset {version} of ONNX, but 1 to {NEWEST} are supported",
            hint="export it with an older opset, or bring it to one with onnx.version_converter",
        )
    return found


def domain_of(node: onnx.NodeProto | onnx.FunctionProto) -> str:
    """The domain of an operator, "" for ONNX's own."""
    return "" if node.domain in _OWN else str(node.domain)


def label(node: onnx.NodeProto) -> str:
    """What a node is called: its name, or its first output."""
    return node.name or next((name for name in node.output if name), "") or node.op_type


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The branches and bodies of a node."""
    found = []
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            found.append(attribute.g)
        found += attribute.graphs
    return found
