"""Composites: public functions that are made of operators and have no operator of their own."""

from __future__ import annotations

import difflib
import functools
import inspect
import os
import re
import traceback
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from graphflow.errors import UNFORESEEN, AttributeValueError, AxisNotKnown, GraphFlowError
from graphflow.ir import dims, provenance
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.graph import checked_name
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import OpDef

_NUMPY = os.path.dirname(np.__file__)

P = ParamSpec("P")
R = TypeVar("R")


def composite(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator that completes an error raised inside with the user's line, as operators do."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            if kwargs.get("name") is not None:
                checked_name(kwargs["name"], function.__name__)
            return function(*args, **kwargs)
        except AxisNotKnown as error:
            return OpDef.for_each_axis(wrapper, args, kwargs, _placed(error, function))
        except GraphFlowError as error:
            raise _placed(error, function) from None
        except UNFORESEEN as error:
            misfit = _misfit(function, args, kwargs) if isinstance(error, TypeError) else None
            if misfit is not None:
                raise _placed(misfit, function) from None
            if _is_not_ours(error):
                raise
            fault = AttributeValueError(f"{function.__name__} cannot take what it was given: {error}")
            raise _placed(fault, function) from error

    return wrapper


def _is_not_ours(error: Exception) -> bool:
    """Whether a function that the user passed has failed."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = [frame for frame in frames if not frame.f_code.co_filename.startswith(_NUMPY)]
    return len(frames) == 1 or not provenance.is_inside(own[-1].f_code.co_filename)


def _misfit(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AttributeValueError | None:
    """The error of a call that does not fit the signature; None for one that does."""
    signature, name = inspect.signature(function), function.__name__
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        said = str(error)
    else:
        return None
    parameters = signature.parameters
    unknown = next((given for given in kwargs if given not in parameters), None)
    if unknown is not None:
        close = difflib.get_close_matches(unknown, parameters, 1)
        meant = f"did you mean {close[0]!r}? " if close else ""
        return AttributeValueError(
            f"{name} has no argument {unknown!r}", hint=f"{meant}call it as {_spelled(function)}"
        )
    twice = re.fullmatch(r"multiple values for argument ('\w+')", said)
    return AttributeValueError(f"{name} got {twice[1]} twice" if twice else f"{name}: {said}")


def _spelled(function: Callable[..., Any]) -> str:
    """The call as a user writes it."""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(function).parameters.values()
    ]
    return f"{function.__name__}{inspect.Signature(parameters)}"


def _placed(error: GraphFlowError, function: Callable[..., Any]) -> GraphFlowError:
    """The error of a call that failed, with the user's line and a way out."""
    dims.take_assumptions()  # of the failed call: they are not the next node's
    return error.located(origin=provenance.capture(), hint=f"call it as {_spelled(function)}")


def with_tensor(x: Any) -> tuple[Builder, Tensor]:
    """A builder for the graph of x, and x as a tensor of it."""
    b = builder_for([x])
    return b, b.tensor(x)


def with_tensors(*values: Any) -> tuple[Builder, list[Tensor]]:
    """A builder for the graph of the values, and each as a tensor of it; Python scalars are weak."""
    b = builder_for(values)
    return b, b._convert(values)
