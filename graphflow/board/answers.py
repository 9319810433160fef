"""Requests and answers of the board's interface: parameters are checked, answers are bounded JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from graphflow.board.store import NotLogged
from graphflow.errors import AttributeValueError, FileFormatError, GraphFlowError

MOST_BYTES = 64 << 20
"""A larger answer is refused, so that one log directory fills neither the server nor the browser."""

LONGEST_PARAM = 20_000
MOST_PARAMS = 128


class TooLarge(GraphFlowError):
    """An answer that would be larger than what the board sends."""


def json_answer(content: Any) -> Response:
    """An answer of JSON; NaN and infinities become the texts that JavaScript's `Number` reads.

    Arguments:
        content: of types that JSON has; arrays are turned into lists by `numbers`.

    Raises:
        TooLarge: if it has more than `MOST_BYTES`.
    """
    return _sent(
        json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_told)
    )


def _sent(text: str) -> Response:
    data = text.encode("utf-8", "replace")
    if len(data) > MOST_BYTES:
        raise TooLarge(
            f"the answer would have {len(data)} bytes, more than {MOST_BYTES}", hint="ask for fewer at once"
        )
    return Response(data, media_type="application/json")


def _told(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return numbers(value)
    if isinstance(value, np.generic):
        return number(value.item())
    return str(value)


def number(value: Any) -> Any:
    """A number for JSON: as it is if it is finite, else "NaN", "Infinity" or "-Infinity".

    >>> number(1.5), number(float("inf")), number(True)
    (1.5, 'Infinity', True)
    """
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def numbers(array: np.ndarray) -> list[Any]:
    """The numbers of an array for JSON.

    >>> numbers(np.array([0.25, np.nan]))
    [0.25, 'NaN']
    """
    listed: list[Any] = array.tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return [number(value) for value in listed]
    return listed


def without_nan(content: Any) -> Any:
    """The same lists and dicts with `number` applied to each number; for what files say in JSON."""
    # No recursion: how deep a file nests is not ours to choose.
    top = [content]
    stack: list[tuple[Any, Any]] = [(top, 0)]
    while stack:
        owner, key = stack.pop()
        value = owner[key]
        if isinstance(value, dict):
            owner[key] = made = dict(value)
            stack.extend((made, inner) for inner in made)
        elif isinstance(value, list):
            owner[key] = copied = list(value)
            stack.extend((copied, inner) for inner in range(len(copied)))
        else:
            owner[key] = number(value)
    return top[0]


def text_param(request: Request, name: str, default: str | None = None) -> str:
    """A parameter of the query.

    Raises:
        AttributeValueError: if it is missing and has no default, or is too long.
    """
    value = request.query_params.get(name, default)
    if value is None:
        raise AttributeValueError(f"the parameter {name!r} is missing", hint=f"add {name}=...")
    if len(value) > LONGEST_PARAM:
        raise AttributeValueError(f"the parameter {name!r} is too long", hint="ask for a logged name")
    return value


def list_param(request: Request, name: str) -> list[str]:
    """All values of a parameter that may be repeated.

    Raises:
        AttributeValueError: if there are too many, or one is too long.
    """
    values = request.query_params.getlist(name)
    if len(values) > MOST_PARAMS or any(len(value) > LONGEST_PARAM for value in values):
        raise AttributeValueError(f"too much is asked of {name!r}", hint=f"ask for up to {MOST_PARAMS}")
    return values


def int_param(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A whole number of the query, moved into [least, most].

    Raises:
        AttributeValueError: if it is no whole number.
    """
    text = request.query_params.get(name, "")
    if not text:
        return default
    if len(text) > 20 or not text.removeprefix("-").isdecimal():
        raise AttributeValueError(f"{name}={text[:20]!r} is no whole number", hint=f"write {name}={default}")
    return max(least, min(int(text), most))


def error_answer(error: Exception) -> Response:
    """What a client is told of an error: a sentence and a way out, never a trace."""
    status = 500
    for kind, code in ((NotLogged, 404), (TooLarge, 413), (FileFormatError, 422), (GraphFlowError, 400)):
        if isinstance(error, kind):
            status = code
            break
    if isinstance(error, GraphFlowError):
        return JSONResponse({"error": error.message, "hint": error.hint or ""}, status)
    return JSONResponse(
        {"error": f"the board failed: {type(error).__name__}", "hint": "its terminal says more"}, status
    )
