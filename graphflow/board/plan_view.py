"""What the board shows of a memory plan and of a profile: bounded columns of checked numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

MOST_VALUES = 30_000
MOST_ROWS = 30_000
MOST_NAMES = 50_000
MOST_POINTS = 4_000  # of the curve of what is live
_LARGEST = 1 << 53  # what JavaScript can count to
_LONGEST = 1000
_SUMS = (
    "naive_bytes", "lower_bound_bytes", "arena_bytes", "argument_bytes", "constant_bytes", "output_bytes",
    "beside_bytes", "total_bytes", "in_place",
)  # fmt: skip


def memory_view(content: Mapping[str, Any]) -> dict[str, Any]:
    """A memory plan: sums, the values with their places and lives, what is live when, and what would fit."""
    names = [text(one) for one in listed(content.get("order"))]
    lines = [text(one) for one in listed(content.get("lines"))]
    count = len(names)
    values = [one for one in listed(content.get("values")) if isinstance(one, dict)]
    values = [one for one in values if whole(one.get("bytes"))]
    area = np.array([whole(one["bytes"]) * max(_life(one, count), 1) for one in values], np.float64)
    kept = np.sort(np.argsort(-area, kind="stable")[:MOST_VALUES]).tolist()
    shown = [values[number] for number in kept]
    live = _live(values, count)
    peak = content.get("peak")
    peak = peak if isinstance(peak, dict) else {}
    return {
        **{name: whole(content.get(name)) for name in _SUMS},
        "gap": real(content.get("gap")),
        "is_actual": bool(content.get("is_actual")),
        "certificate": text(content.get("certificate", "")),
        "peak": {"position": min(whole(content.get("peak_position")), max(count - 1, 0)),
                 "node": text(peak.get("node", "")), "at": text(peak.get("at", ""))},
        "positions": count,
        "order": names[:MOST_NAMES],
        "lines": lines[:MOST_NAMES],
        "live": live,
        "values": {
            **{key: [text(one.get(key, "")) for one in shown]
               for key in ("name", "node", "kind", "made_at", "last_read_at")},
            **{key: [whole(one.get(key)) for one in shown] for key in ("offset", "bytes")},
            "first": [_within(one.get("first"), count) for one in shown],
            "last": [_within(one.get("last"), count) for one in shown],
        },
        "left_out": len(values) - len(shown),
        "fit": _fit(content.get("fit")),
    }  # fmt: skip


def _life(value: Mapping[str, Any], count: int) -> int:
    return _within(value.get("last"), count) - _within(value.get("first"), count)


def _live(values: Iterable[Mapping[str, Any]], count: int) -> dict[str, list[int]]:
    """Bytes that are live at each position; of many positions the largest in each stretch."""
    change = np.zeros(count + 1, np.float64)
    for one in values:
        first, last = _within(one.get("first"), count), _within(one.get("last"), count)
        if first < last:
            change[first] += whole(one["bytes"])
            change[last] -= whole(one["bytes"])
    total = np.cumsum(change)[:count]
    step = max(1, -(-count // MOST_POINTS))
    starts = np.arange(0, count, step)
    most = np.maximum.reduceat(total, starts) if count else total
    return {"position": starts.tolist(), "bytes": most.astype(np.int64).tolist()}


def _fit(fit: Any) -> dict[str, Any] | None:
    """What would fit into a budget."""
    if not isinstance(fit, dict):
        return None
    ways = [
        {
            "name": text(way.get("name", "")),
            "arena_bytes": whole(way.get("arena_bytes")),
            "total_bytes": whole(way.get("total_bytes")),
            "fits": bool(way.get("fits")),
            "cost": text(way.get("cost", "")),
            "code": text(way.get("code", "")),
            "nodes": [text(one) for one in listed(way.get("nodes"))[:50]],
        }
        for way in listed(fit.get("ways"))[:100]
        if isinstance(way, dict)
    ]
    used = [
        {"name": text(one.get("name", "")), "saved_bytes": whole(one.get("saved_bytes"))}
        for one in listed(fit.get("in_use"))[:100]
        if isinstance(one, dict)
    ]
    return {
        "budget_bytes": whole(fit.get("budget_bytes")),
        "arena_bytes": whole(fit.get("arena_bytes")),
        "bound_bytes": whole(fit.get("bound_bytes")),
        "is_possible": bool(fit.get("is_possible")),
        "ways": ways,
        "in_use": used,
        "notes": [text(one) for one in listed(fit.get("notes"))[:100]],
    }


def profile_view(content: Mapping[str, Any]) -> dict[str, Any]:
    """A profile as columns in the order of running; of too many nodes those that took longest."""
    rows = [one for one in listed(content.get("rows")) if isinstance(one, dict)]
    seconds = np.array([real(one.get("seconds")) for one in rows], np.float64)
    starts = np.cumsum(seconds) - seconds
    kept = np.sort(np.argsort(-seconds, kind="stable")[:MOST_ROWS]).tolist()
    shown = [rows[number] for number in kept]
    return {
        "backend": text(content.get("backend", "")),
        "seconds": float(seconds.sum()),
        "count": len(rows),
        "left_out": len(rows) - len(shown),
        "rows": {
            **{key: [text(one.get(key, "")) for one in shown] for key in ("name", "op", "type", "line")},
            **{key: [whole(one.get(key)) for one in shown] for key in ("bytes", "flops")},
            "seconds": [float(seconds[number]) for number in kept],
            "start": [float(starts[number]) for number in kept],
        },
    }


def node_seconds(content: Mapping[str, Any] | None) -> dict[str, float]:
    """Seconds by node of a profile; nothing without one."""
    rows = listed((content or {}).get("rows"))
    return {text(one.get("name", "")): real(one.get("seconds")) for one in rows if isinstance(one, dict)}


def values_of(content: Mapping[str, Any] | None, node: str) -> list[dict[str, Any]]:
    """The planned values that a node makes, at most 20."""
    found = []
    for one in listed((content or {}).get("values")):
        if isinstance(one, dict) and text(one.get("node", "")) == node and whole(one.get("bytes")):
            texts = {key: text(one.get(key, "")) for key in ("name", "kind", "made_at", "last_read_at")}
            found.append(
                {**texts, **{key: whole(one.get(key)) for key in ("offset", "bytes", "first", "last")}}
            )
    return found[:20]


# Values of files that may be anything


def listed(value: Any) -> list[Any]:
    """A list, or an empty one instead of anything else."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str:
    """Text that is not too long."""
    return (value if isinstance(value, str) else "" if value is None else str(value)[:_LONGEST])[:_LONGEST]


def whole(value: Any) -> int:
    """A count: of numbers that are none, 0."""
    return min(max(int(real(value)), 0), _LARGEST)


def real(value: Any) -> float:
    """A finite number of at least 0; of what is none, 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    try:
        found = float(value)
    except OverflowError:
        return float(_LARGEST)
    return found if 0 < found < float("inf") else 0.0


def _within(value: Any, count: int) -> int:
    return min(whole(value), count)
