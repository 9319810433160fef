"""`graphflow fuzz`: random graphs, run at every level on every backend; what fails is made small."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from graphflow.cli.options import command, listed, whole

_WIDTH = 30


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "fuzz",
        "hunt for graphs that the optimizer or a backend gets wrong",
        """
        graphflow fuzz --seconds 120
        graphflow fuzz --seconds 600 --seed 7 --levels O2,O3 --backends numpy -o found
        graphflow fuzz --seed 7 --start 41 --graphs 1
        """,
        _act,
    )
    made.add_argument("--seconds", type=_seconds, default=60.0, metavar="N", help="for how long (60)")
    made.add_argument("--seed", type=whole(0), default=0, metavar="S", help="what the graphs are made of (0)")
    made.add_argument("--levels", default="O1,O2,O3", metavar="LIST", help="levels, with commas (O1,O2,O3)")
    made.add_argument("--backends", metavar="LIST", help="backends, with commas (all that are available)")
    made.add_argument(
        "--start", type=whole(0), default=0, metavar="K", help="the number of the first graph (0)"
    )
    made.add_argument("--graphs", type=whole(1), metavar="N", help="how many graphs at most")
    made.add_argument("-o", "--out", metavar="DIR", help="write a ready test of each fault")
    made.add_argument("--json", action="store_true", help="print everything as JSON")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def _act(options: argparse.Namespace) -> int:
    from graphflow.prove.fuzz import hunt

    bar = _Bar()
    found = hunt(
        options.seconds,
        options.seed,
        listed(options.levels),
        None if options.backends is None else listed(options.backends),
        start=options.start,
        graphs=options.graphs,
        folder=options.out,
        progress=bar.show,
    )
    bar.clear()
    print(json.dumps(found.to_dict(), indent=1) if options.json else found)
    return 0 if found.passed else 1


class _Bar:
    """A line on the terminal that says how far the hunt is; nothing where standard error is none."""

    def __init__(self) -> None:
        self._shown = 0.0
        self._length = 0

    def show(self, found: Any, share: float) -> None:
        """Draw it anew, a few times a second."""
        now = time.monotonic()
        if not sys.stderr.isatty() or now - self._shown < 0.2:
            return
        self._shown = now
        done = round(_WIDTH * share)
        text = f"[{'#' * done}{'.' * (_WIDTH - done)}] {found.graphs} graphs, {len(found.findings)} faults"
        self._length = len(text)
        print(f"\r{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Wipe it."""
        if self._length:
            print(f"\r{' ' * self._length}\r", end="", file=sys.stderr, flush=True)
