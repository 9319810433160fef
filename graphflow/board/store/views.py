"""What the store answers with: plain records of arrays, numbers and texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from graphflow.board.store.catalog import Tag


class Run(NamedTuple):
    """A run.

    Attributes:
        name: its folder below the log directory, with `/`, or "." for that itself.
        bytes, read_bytes: of its event files, and how much of that is dealt with.
        tags, points: how many there are so far.
        side_files: which of "graph", "journal", "memory" and "profile" it has.
        notices: what could not be read, in words.
        changed: the revision at which it last changed.
    """

    name: str
    bytes: int
    read_bytes: int
    tags: int
    points: int
    side_files: tuple[str, ...]
    notices: tuple[str, ...]
    changed: int


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A curve: int64 steps, float64 wall times (seconds) and values, and how many points it has in all."""

    step: np.ndarray
    wall: np.ndarray
    value: np.ndarray
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """One histogram: float64 edges, one more than counts where buckets join, and counts.

    Attributes:
        left, right: the edges of each bucket.
        counts: how many values lie in it.
    """

    step: int
    wall: float
    left: np.ndarray
    right: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True, slots=True)
class Image:
    """Images of one step; `index` and a position below `count` are what `image_file` takes."""

    index: int
    step: int
    wall: float
    width: int
    height: int
    count: int


class Text(NamedTuple):
    """The texts of one step."""

    step: int
    wall: float
    texts: list[str]


class PrCurve(NamedTuple):
    """One precision-recall curve: float64 arrays with an element for each threshold."""

    step: int
    wall: float
    thresholds: np.ndarray
    true_positives: np.ndarray
    false_positives: np.ndarray
    true_negatives: np.ndarray
    false_negatives: np.ndarray
    precision: np.ndarray
    recall: np.ndarray


@dataclass
class Settings:
    """The settings of a run.

    Attributes:
        values: booleans, numbers and texts by name.
        metrics: tags of the scalars that judge it.
        group: of runs that share their settings, "" for one of its own.
        status: "running", "succeeded", "failed" or "unknown".
        started, ended: wall times, 0 where not known.
    """

    values: dict[str, Any] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=list)
    group: str = ""
    status: str = "unknown"
    started: float = 0.0
    ended: float = 0.0


@dataclass
class Changes:
    """What changed since a revision.

    Attributes:
        revision: to be given to the next `poll`.
        is_complete: whether everything that is there has been read.
        bytes, read_bytes: of all event files, and how much is dealt with.
        runs: names of all runs, if that list changed, else None.
        changed: for each run that changed, the tags that did.
    """

    revision: int
    is_complete: bool
    bytes: int
    read_bytes: int
    runs: list[str] | None
    changed: dict[str, list[Tag]]
