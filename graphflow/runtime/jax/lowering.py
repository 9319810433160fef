"""The table of JAX lowerings: how each operator is written in jax.numpy and lax.

A lowering has the calling convention of the operator's reference, `(*arrays, **attrs)`, on traced
JAX arrays. The files `lower_<family>.py` fill the table; they mirror the families of `ops/`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.ir.node import Node

Lowering = Callable[..., Any]

LOWERINGS: dict[str, Lowering] = {}

LOWERINGS_BY_NODE: dict[str, Callable[[Node], Lowering]] = {}
"""For operators whose inputs decide how they are written; what it gives is right for that node alone."""

# Operators without a lowering of their own, each with the reason; all others must be in the table.
NO_LOWERING = {
    "placeholder": "it is an argument of the compiled function",
    "variable": "it is an argument of the compiled function",
    "session_key": "it is an argument of the compiled function",
    "training_flag": "it is a constant by the time a program is compiled",
    "assign": "a program carries updates as outputs",
    "decode_image": "XLA reads no image files: decode them before they are fed",
    "string_concat": "XLA has no strings",
    "string_split": "XLA has no strings",
    "string_normalizer": "XLA has no strings",
    "regex_full_match": "XLA has no strings",
    "tf_idf_vectorizer": "it looks n-grams up in a dictionary",
}


NO_DTYPE = {
    "string": "XLA has no strings",
    "float6_e2m3fn": "XLA has no float6_e2m3fn",
    "float6_e3m2fn": "XLA has no float6_e3m2fn",
}
"""Dtypes that no program may have, each with the reason."""


def lowering(name: str) -> Callable[[Lowering], Lowering]:
    """Decorator that enters a function into the table under the operator's name."""

    def enter(function: Lowering) -> Lowering:
        if name in LOWERINGS:
            raise ValueError(f"{name} has a JAX lowering already")
        LOWERINGS[name] = function
        return function

    return enter
