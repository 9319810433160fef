"""The package `tflite`, which has the classes of the file's schema, and the numbers of its enumerations."""

from __future__ import annotations

from typing import Any

from graphflow.errors import BackendError

CUSTOM = 32
"""The number of operators that are none of TensorFlow Lite's own."""


def schema() -> Any:
    """The module `tflite`.

    Raises:
        BackendError: if it is not installed.
    """
    try:
        import tflite
    except ImportError as error:
        raise BackendError(
            "reading .tflite files needs the package tflite",
            hint="pip install 'graphflow-compiler[tflite]'",
        ) from error
    return tflite


def numbered(enumeration: Any) -> dict[int, str]:
    """The names of an enumeration by their numbers."""
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}
