"""What there is: runs, tags, and what has changed."""

from __future__ import annotations

import json
import threading
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from graphflow.board.answers import int_param, json_answer, text_param
from graphflow.board.store import KINDS, LogDirectory, NotLogged, Tag
from graphflow.errors import AttributeValueError
from graphflow.train.side_files import KINDS as SIDES

MOST_TAGS = 200_000
MOST_PAIRS = 4_000_000
MOST_CHANGED = 2_000


class _Names:
    """Names of tags by run and kind, as of the revision at which each run last changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[tuple[int, int], dict[str, list[str]]]] = {}

    def of(self, log: LogDirectory, run: str, key: tuple[int, int]) -> dict[str, list[str]]:
        """Names by kind; the key tells whether they have changed."""
        with self._lock:
            kept = self._kept.get(run)
        if kept is not None and kept[0] == key:
            return kept[1]
        found: dict[str, list[str]] = {}
        try:
            tags = log.tags(run)
        except NotLogged:  # the run went away between two looks
            tags = []
        for tag in tags:
            if tag.count:
                found.setdefault(tag.kind, []).append(tag.name)
        with self._lock:
            self._kept[run] = (key, found)
        return found


def _names(request: Request) -> _Names:
    state = request.app.state
    if not hasattr(state, "names"):
        state.names = _Names()
    names: _Names = state.names
    return names


def everything(request: Request) -> Response:
    """All runs, what they have, and which pages show it."""
    log: LogDirectory = request.app.state.log
    names = _names(request)
    changes = log.poll(log.revision)
    kinds: dict[str, list[str]] = {kind: [] for kind in KINDS}
    sides: dict[str, list[str]] = {kind: [] for kind in SIDES}
    runs: list[dict[str, Any]] = []
    for run in log.runs():
        found = names.of(log, run.name, (run.changed, run.tags))
        for kind in found:
            kinds.setdefault(kind, []).append(run.name)
        for side in run.side_files:
            sides.setdefault(side, []).append(run.name)
        runs.append(
            {
                "name": run.name, "points": run.points, "tags": run.tags, "bytes": run.bytes,
                "read_bytes": run.read_bytes, "side_files": run.side_files, "notices": run.notices,
                "changed": run.changed, "kinds": {kind: len(listed) for kind, listed in found.items()},
            }
        )  # fmt: skip
    answer = {
        "name": log.root.name or "/", "revision": changes.revision,
        "complete": changes.is_complete, "bytes": changes.bytes, "read_bytes": changes.read_bytes,
        "runs": runs, "kinds": kinds, "sides": sides, "notices": log.notices(),
        "pages": request.app.state.pages,
    }  # fmt: skip
    for extra in request.app.state.extras:
        answer.update(extra(log))
    return json_answer(answer)


def tags(request: Request) -> Response:
    """The tags of a kind: [name, positions in `runs`], where null stands for all runs."""
    log: LogDirectory = request.app.state.log
    kind = text_param(request, "kind")
    if kind not in KINDS:
        raise AttributeValueError(f"{kind[:40]!r} is no kind of tag", hint="there are " + ", ".join(KINDS))
    names = _names(request)
    runs: list[str] = []
    owners: dict[str, list[int]] = {}
    pairs, is_cut = 0, False
    for run in log.runs():
        found = names.of(log, run.name, (run.changed, run.tags)).get(kind)
        if not found:
            continue
        if pairs + len(found) > MOST_PAIRS:
            is_cut = True
            break
        pairs += len(found)
        for name in found:
            owners.setdefault(name, []).append(len(runs))
        runs.append(run.name)
    listed = [[name, None if len(at) == len(runs) else at] for name, at in owners.items()]
    is_cut = is_cut or len(listed) > MOST_TAGS
    return json_answer({"runs": runs, "tags": listed[:MOST_TAGS], "cut": is_cut})


def poll(request: Request) -> Response:
    """What changed after a revision: names by run and kind, or null where they are many."""
    log: LogDirectory = request.app.state.log
    changes = log.poll(int_param(request, "since", -1, -1, 2**62))
    changed: dict[str, Any] = {}
    budget = MOST_CHANGED
    for run, found in changes.changed.items():
        budget -= len(found)
        changed[run] = _by_kind(found) if budget >= 0 else None
    return json_answer(
        {
            "revision": changes.revision, "complete": changes.is_complete, "bytes": changes.bytes,
            "read_bytes": changes.read_bytes, "runs": changes.runs, "changed": changed,
        }
    )  # fmt: skip


def _by_kind(found: list[Tag]) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for tag in found:
        kinds.setdefault(tag.kind, []).append(tag.name)
    return kinds


async def prefer(request: Request) -> Response:
    """Read the runs that are being looked at before others."""
    body = await request.body()
    try:
        wanted = json.loads(body).get("runs")
    except (ValueError, AttributeError, RecursionError):
        wanted = None
    if not isinstance(wanted, list) or not all(isinstance(run, str) for run in wanted):
        raise AttributeValueError("the request has no list of runs", hint='send {"runs": ["name", ...]}')
    request.app.state.log.prefer(wanted)
    return json_answer({"preferred": len(wanted)})


ROUTES = [
    Route("/api/info", everything),
    Route("/api/tags", tags),
    Route("/api/poll", poll),
    Route("/api/prefer", prefer, methods=["POST"]),
]
