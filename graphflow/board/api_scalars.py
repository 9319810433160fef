"""Curves: thinned out for charts, and whole as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from graphflow.board.answers import int_param, json_answer, list_param, numbers, text_param
from graphflow.board.store import Curve, LogDirectory, NotLogged
from graphflow.board.store.thinning import kept_points
from graphflow.errors import AttributeValueError

MOST_POINTS = 10_000
MOST_ROWS = 5_000_000
_CHUNK = 5_000


def scalars(request: Request) -> Response:
    """A tag's curves, by run; runs that do not have it are left out.

    With `smooth`, a weight, curves that are thinned out come with the moving average of all their points.
    """
    log: LogDirectory = request.app.state.log
    tag = text_param(request, "tag")
    points = int_param(request, "points", 1000, 2, MOST_POINTS)
    weight = _weight(request)
    curves: dict[str, Any] = {}
    for run in list_param(request, "run"):
        try:
            curve = log.scalars(run, tag, None if weight else points)
        except NotLogged:
            continue
        step, wall, value, smooth = curve.step, curve.wall, curve.value, None
        if step.size > points:
            kept = kept_points(step, value, points, "minmax")
            smooth = numbers(smoothed(value, weight)[kept])
            step, wall, value = step[kept], wall[kept], value[kept]
        curves[run] = {
            "step": step.tolist(), "wall": numbers(wall), "value": numbers(value), "count": curve.count,
        }  # fmt: skip
        if smooth is not None:
            curves[run]["smooth"] = smooth
    return json_answer({"tag": tag, "curves": curves})


def _weight(request: Request) -> float:
    text = text_param(request, "smooth", "0")
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < 1:
        raise AttributeValueError(f"smooth={text[:20]!r} is no weight", hint="write a number in [0, 1)")
    return weight


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """The moving average s_n = sum_k w^(n-k) y_k / sum_k w^(n-k) over the finite values; others stay.

    >>> smoothed(np.array([1.0, np.nan, 4.0]), 0.5)
    array([ 1., nan,  3.])
    """
    result = values.astype(np.float64)
    finite = np.isfinite(result)
    given = result[finite]
    if weight <= 0 or not given.size:
        return result
    made = np.empty_like(given)
    # Blocks so short that w^-n stays far from the largest float.
    block = max(1, min(given.size, int(200 / -math.log10(weight))))
    powers = weight ** np.arange(1, block + 1)
    total = size = 0.0
    for first in range(0, given.size, block):
        part = given[first : first + block]
        power = powers[: part.size]
        totals = power * (total + np.cumsum((1 - weight) * part / power))
        sizes = 1 - (1 - size) * power
        made[first : first + block] = totals / sizes
        total, size = totals[-1], sizes[-1]
    result[finite] = made
    return result


def scalars_csv(request: Request) -> Response:
    """All points of a tag's curves: run, tag, step, wall time, value."""
    log: LogDirectory = request.app.state.log
    tag = text_param(request, "tag")
    found: list[tuple[str, Curve]] = []
    for run in list_param(request, "run"):
        try:
            found.append((run, log.scalars(run, tag)))
        except NotLogged:
            continue
    if not found:
        raise NotLogged(f"no such run has the scalars {tag[:80]!r}", hint="/api/tags?kind=scalars lists them")
    if sum(curve.count for _, curve in found) > MOST_ROWS:
        raise AttributeValueError(
            f"these curves have more than {MOST_ROWS} points", hint="ask for fewer runs at once"
        )
    return StreamingResponse(
        _rows(tag, found),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="scalars.csv"'},
    )


def _rows(tag: str, found: list[tuple[str, Curve]]) -> Iterator[str]:
    yield "run,tag,step,wall_time,value\r\n"
    for run, curve in found:
        start = [_cell(run), _cell(tag)]
        for first in range(0, curve.step.size, _CHUNK):
            part = slice(first, first + _CHUNK)
            text = io.StringIO()
            columns = (curve.step[part].tolist(), curve.wall[part].tolist(), curve.value[part].tolist())
            csv.writer(text).writerows([*start, *row] for row in zip(*columns))
            yield text.getvalue()


def _cell(name: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name


ROUTES = [Route("/api/scalars", scalars), Route("/api/scalars.csv", scalars_csv)]
