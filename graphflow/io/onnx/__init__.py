"""ONNX models: `gf.onnx.load` imports them, `graphflow.io.onnx.backend` runs them as onnx does."""

from __future__ import annotations

from graphflow.io.onnx.loading import load, unsupported

__all__ = ["load", "unsupported"]


def __dir__() -> list[str]:
    return sorted(__all__)
