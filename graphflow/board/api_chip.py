"""Answers on the compiled models in the folders of runs."""

from __future__ import annotations

import threading
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from graphflow.board.answers import int_param, json_answer, text_param, without_nan
from graphflow.board.chip_view import ChipView, find_models, stamp_of
from graphflow.board.store import LogDirectory, NotLogged

_kept_lock = threading.Lock()


def _view(request: Request) -> tuple[ChipView, list[str]]:
    """The model that a request means, which is one of those that there are, and their names."""
    state = request.app.state
    log: LogDirectory = state.log
    run = text_param(request, "run")
    folder = log.place(run)
    found = find_models(log.root, folder)
    name = text_param(request, "model", found[0] if found else "")
    if name not in found:
        raise NotLogged(
            f"the run {run!r:.80} has no compiled model {name!r:.80}",
            hint="save a .bmodel into the run's folder",
        )
    key = (folder, name, stamp_of(log.root, folder, name))
    with _kept_lock:
        kept = getattr(state, "chip", None)
        if kept is None or kept[0] != key:
            kept = state.chip = (key, ChipView(log.root, folder, name))
    view: ChipView = kept[1]
    return view, found


def chip(request: Request) -> Response:
    """What models there are, and the sums of a stage of one."""
    view, models = _view(request)
    found = view.summary(int_param(request, "stage", 0, 0, 1 << 20))
    return json_answer(without_nan({"models": models, **found}))


def spans(request: Request) -> Response:
    """What both engines do in a part of the time."""
    view, _ = _view(request)
    stage = int_param(request, "stage", 0, 0, 1 << 20)
    start, end = _part(request, view, stage)
    return json_answer(view.spans(stage, start, end))


def local(request: Request) -> Response:
    """What lies in local memory in a part of the time."""
    view, _ = _view(request)
    stage = int_param(request, "stage", 0, 0, 1 << 20)
    start, end = _part(request, view, stage)
    return json_answer(view.memory(stage, start, end))


def _part(request: Request, view: ChipView, stage: int) -> tuple[float, float]:
    """The part of the time that is asked for, in nanoseconds; all of it by default."""
    whole = round(1e9 * view.stage(stage).seconds) + 1
    start = int_param(request, "start", 0, 0, whole)
    end = int_param(request, "end", whole, 0, whole)
    return start / 1e9, max(end, start + 1) / 1e9


def extra_info(log: LogDirectory) -> dict[str, Any]:
    """Which runs have a compiled model."""
    return {"chips": [run.name for run in log.runs() if find_models(log.root, log.place(run.name))]}


ROUTES = [
    Route("/api/chip", chip),
    Route("/api/chip/spans", spans),
    Route("/api/chip/memory", local),
]
