"""The settings of all runs and how well each did, as rows of a table."""

from __future__ import annotations

import math
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from graphflow.board.answers import json_answer, number
from graphflow.board.store import LogDirectory, NotLogged

MOST_COLUMNS = 200
MOST_TEXT = 2_000
_GOOD_WHEN_SMALL = ("loss", "error", "perplexity", "cost")


def hparams(request: Request) -> Response:
    """A row for each run that has settings: its values, and last and best of each metric."""
    log: LogDirectory = request.app.state.log
    rows: list[dict[str, Any]] = []
    columns: dict[str, None] = {}
    metrics: dict[str, None] = {}
    for run in log.runs():
        try:
            found = log.hparams(run.name)
        except NotLogged:  # gone between two looks
            continue
        if found is None:
            continue
        values = {name[:MOST_TEXT]: _told(value) for name, value in list(found.values.items())[:MOST_COLUMNS]}
        columns.update(dict.fromkeys(values))
        metrics.update(dict.fromkeys(found.metrics[:MOST_COLUMNS]))
        rows.append(
            {
                "run": run.name, "group": found.group[:MOST_TEXT], "status": found.status, "values": values,
                "started": number(found.started), "ended": number(found.ended),
            }
        )  # fmt: skip
    shown = list(metrics)[:MOST_COLUMNS]
    for row in rows:
        row["metrics"] = {tag: told for tag in shown if (told := _metric(log, row["run"], tag)) is not None}
    return json_answer({"columns": list(columns)[:MOST_COLUMNS], "metrics": shown, "rows": rows})


def _told(value: Any) -> Any:
    return value[:MOST_TEXT] if isinstance(value, str) else number(value)


def _metric(log: LogDirectory, run: str, tag: str) -> dict[str, Any] | None:
    """The last and the best value of a curve; low values are good where the name says so."""
    try:
        curve = log.scalars(run, tag, 2000)
    except NotLogged:
        return None
    finite = [value for value in curve.value.tolist() if math.isfinite(value)]
    if not curve.value.size:
        return None
    is_low_good = any(word in tag.lower() for word in _GOOD_WHEN_SMALL)
    best = (min if is_low_good else max)(finite, default=math.nan)
    return {"last": number(float(curve.value[-1])), "best": number(best), "step": int(curve.step[-1])}


ROUTES = [Route("/api/hparams", hparams)]
