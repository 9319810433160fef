"""Composites: public functions that are made of operators and have no operator of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from graphflow.errors import GraphFlowError
from graphflow.ir import provenance
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.node import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def composite(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator that completes an error raised inside with the user's line, as operators do."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except GraphFlowError as error:
            raise error.located(origin=provenance.capture()) from None

    return wrapper


def with_tensor(x: Any) -> tuple[Builder, Tensor]:
    """A builder for the graph of x, and x as a tensor of it."""
    b = builder_for([x])
    return b, b.tensor(x)


def with_tensors(*values: Any) -> tuple[Builder, list[Tensor]]:
    """A builder for the graph of the values, and each as a tensor of it; Python scalars are weak."""
    b = builder_for(values)
    return b, b._convert(values)
