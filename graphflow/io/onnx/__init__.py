"""ONNX models: `gf.onnx.load` reads them, `gf.onnx.save` writes them, `backend` runs them as onnx does."""

from __future__ import annotations

from graphflow.io.onnx.export import save, to_proto
from graphflow.io.onnx.loading import load, unsupported

__all__ = ["load", "save", "to_proto", "unsupported"]


def __dir__() -> list[str]:
    return sorted(__all__)
