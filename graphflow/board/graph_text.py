"""Types of outputs in words: long ones for the inspector, short ones for arrows and boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def shown_type(output: Mapping[str, Any]) -> str:
    """An output as float32[2, 3]."""
    shape = ", ".join(str(size) for size in output["shape"][:16])
    return f"{output['dtype'][:24]}[{shape[:80]}]"


def short_type(output: Mapping[str, Any]) -> str:
    """An output in few letters: f32 2×3.

    >>> short_type({"dtype": "bfloat16", "shape": [2, "n"]}), short_type({"dtype": "bool", "shape": []})
    ('bf16 2×n', 'bool')
    """
    dtype = output["dtype"]
    for name, letters in (("bfloat", "bf"), ("float", "f"), ("uint", "u"), ("int", "i"), ("complex", "c")):
        if dtype.startswith(name) and dtype[len(name) :].isdigit():
            dtype = letters + dtype[len(name) :]
            break
    return f"{dtype[:16]} {'×'.join(str(size)[:12] for size in output['shape'][:8])}".rstrip()
