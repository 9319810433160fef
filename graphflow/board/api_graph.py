"""Answers on graphs, the optimizer's journal, memory plans, profiles and single nodes of a run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from graphflow.board import api_chip
from graphflow.board.answers import int_param, json_answer, numbers, text_param, without_nan
from graphflow.board.graph_view import GraphView
from graphflow.board.journal_view import MOST_PASSES, SHOWN, JournalView
from graphflow.board.plan_view import memory_view, node_seconds, profile_view, values_of
from graphflow.board.side_cache import SideCache
from graphflow.board.store import LogDirectory, NotLogged
from graphflow.errors import AttributeValueError, GraphFlowError

MOST_NAMES = 200_000
MOST_KEYS = 1000
_CURVES, _POINTS = 16, 200
_MOST_EDITS = 1 << 40


def sides(request: Request) -> SideCache:
    """What keeps side files between requests."""
    state = request.app.state
    if not hasattr(state, "sides"):
        state.sides = SideCache(state.log)
    found: SideCache = state.sides
    return found


def _graph(request: Request) -> GraphView:
    """The graph that a request speaks of: that of the run, or one of its journal's if there is a position."""
    cache, run = sides(request), text_param(request, "run")
    profile = cache.optional(run, "profile")
    stamps = [cache.stamp(run, kind) for kind in ("graph", "journal", "profile")]
    if "position" in request.query_params:
        position = int_param(request, "position", 0, 0, MOST_PASSES)
        shown = text_param(request, "shown", "both")
        if shown not in SHOWN:
            raise AttributeValueError(f"shown={shown[:20]!r} is unknown", hint="use " + ", ".join(SHOWN))
        journal = _journal(request)
        return _made(
            cache, ("graph", run, position, shown), stamps,
            lambda: journal.graph(position, shown, node_seconds(profile)),
        )  # fmt: skip
    revision = None if stamps[0] else tuple(tag.changed for tag in cache.log.tags(run, "graph"))
    return _made(cache, ("graph", run), (stamps, revision), lambda: _whole(cache, run, profile))


def _made(cache: SideCache, key: tuple[Any, ...], stamp: Any, make: Callable[[], GraphView]) -> GraphView:
    found: GraphView = cache.made(key, stamp, make)
    return found


def _whole(cache: SideCache, run: str, profile: dict[str, Any] | None) -> GraphView:
    content = cache.log.graph(run)
    if content is None:
        raise NotLogged(f"the run {run!r:.80} has no graph", hint="write it by writer.graph(tensor.graph)")
    return GraphView(content.get("nodes", []), node_seconds(profile))


def _journal(request: Request) -> JournalView:
    cache, run = sides(request), text_param(request, "run")
    content = cache.content(run, "journal")
    found: JournalView = cache.made(
        ("journal", run), cache.stamp(run, "journal"), lambda: JournalView(content)
    )
    return found


def _keys(request: Request, name: str) -> list[str] | None:
    """A JSON list of keys, or None where there is none."""
    text = text_param(request, name, "")
    if not text:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise AttributeValueError(f"{name} is no list of keys", hint=f'write {name}=["layer0/"]')
    return found[:MOST_KEYS]


def graph(request: Request) -> Response:
    """Boxes and arrows with some scopes open."""
    reveal = text_param(request, "reveal", "")
    return json_answer(_graph(request).view(_keys(request, "open"), reveal))


def names(request: Request) -> Response:
    """Names and operators of all nodes."""
    return json_answer(_graph(request).names(MOST_NAMES))


def trace(request: Request) -> Response:
    """What a node depends on, or what depends on it."""
    forward = text_param(request, "direction", "outputs") == "outputs"
    found = _graph(request).trace(text_param(request, "node"), forward, _shown_keys(request))
    return json_answer(found)


def _shown_keys(request: Request) -> list[str]:
    """The keys of all items that are seen with these open."""
    view = _graph(request).view(_keys(request, "open"))
    return [box["key"] for box in view["boxes"]]


def journal(request: Request) -> Response:
    """The passes of the optimizer."""
    return json_answer(without_nan(_journal(request).summary()))


def edits(request: Request) -> Response:
    """The edits of a pass, and where its rules declined."""
    found, position = _journal(request), int_param(request, "position", 0, 0, MOST_PASSES)
    start, words = int_param(request, "start", 0, 0, _MOST_EDITS), text_param(request, "words", "")
    if text_param(request, "kind", "edits") == "declined":
        return json_answer(found.declines(position, start, words))
    return json_answer(without_nan(found.edits(position, start, words)))


def memory(request: Request) -> Response:
    """The memory plan."""
    cache, run = sides(request), text_param(request, "run")
    content = cache.content(run, "memory")
    return json_answer(cache.made(("memory", run), cache.stamp(run, "memory"), lambda: memory_view(content)))


def profile(request: Request) -> Response:
    """The time of each node."""
    cache, run = sides(request), text_param(request, "run")
    content = cache.content(run, "profile")
    return json_answer(
        cache.made(("profile", run), cache.stamp(run, "profile"), lambda: profile_view(content))
    )


def node(request: Request) -> Response:
    """All that is known of a node: in the graph, its time, memory, edits and curves."""
    cache, run = sides(request), text_param(request, "run")
    name = text_param(request, "node")
    found: dict[str, Any] = {"name": name, "graph": None, "time": None, "history": None}
    with contextlib.suppress(GraphFlowError):  # what other parts know of the node is told all the same
        found["graph"] = _graph(request).node(name)
    found["time"] = _time(cache.optional(run, "profile"), name)
    plan = cache.optional(run, "memory")
    found["memory"] = values_of(plan, name)
    found["arena_bytes"] = (plan or {}).get("arena_bytes", 0)
    if cache.optional(run, "journal") is not None:
        found["history"] = _journal(request).of_node(name)
    found["curves"] = _curves(cache.log, run, name)
    told = [found[key] for key in ("graph", "time", "memory", "curves")]
    found["known"] = any(told) or any((found["history"] or {}).values())
    return json_answer(without_nan(found))


def _time(content: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    """The seconds of a node, its share of the whole, and its place among all."""
    seconds = node_seconds(content)
    if name not in seconds:
        return None
    mine, total = seconds[name], sum(seconds.values())
    slower = sum(other > mine for other in seconds.values())
    return {"seconds": mine, "share": mine / total if total else 0.0, "place": slower + 1, "of": len(seconds)}


def _curves(log: LogDirectory, run: str, name: str) -> list[dict[str, Any]]:
    """The tags that speak of a node: its gradients, activations, quantisation errors; scalars with points."""
    tags = [tag for tag in log.tags(run) if name in (tag.name, tag.name.partition("/")[2])]
    found = []
    for tag in tags[:_CURVES]:
        curve: dict[str, Any] = {"tag": tag.name, "kind": tag.kind, "count": tag.count}
        if tag.kind == "scalars":
            points = log.scalars(run, tag.name, _POINTS)
            curve |= {"step": numbers(points.step), "value": numbers(points.value)}
        found.append(curve)
    return found


def extra_info(log: LogDirectory) -> dict[str, Any]:
    """Which runs have a graph, of either form, and which have a compiled model."""
    runs = log.runs()
    graphs = [run.name for run in runs if "graph" in run.side_files or log.tags(run.name, "graph")]
    return {"graphs": graphs, **api_chip.extra_info(log)}


ROUTES = [
    Route("/api/graph", graph),
    Route("/api/graph/names", names),
    Route("/api/graph/trace", trace),
    Route("/api/journal", journal),
    Route("/api/journal/edits", edits),
    Route("/api/memory", memory),
    Route("/api/profile", profile),
    Route("/api/node", node),
    *api_chip.ROUTES,
]
