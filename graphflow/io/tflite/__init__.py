"""TensorFlow Lite models: `gf.tflite.load` reads them."""

from __future__ import annotations

from graphflow.io.tflite.loading import load, unsupported

__all__ = ["load", "unsupported"]


def __dir__() -> list[str]:
    return sorted(__all__)
