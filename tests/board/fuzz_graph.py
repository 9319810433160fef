"""Damaged side files and models, shown as the board would: `python -m tests.board.fuzz_graph --count 20000`.

Every one has to be shown or refused in words; a crash ends the run and leaves the file to be looked at.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphflow.board.answers import json_answer, without_nan
from graphflow.board.chip_view import ChipView
from graphflow.board.graph_view import GraphView
from graphflow.board.journal_view import JournalView
from graphflow.board.plan_view import memory_view, node_seconds, profile_view, values_of
from graphflow.board.store import side
from graphflow.errors import GraphFlowError
from graphflow.train.side_files import KINDS
from tests.board.graph_logs import write_graph_run

_ODD = (None, [], {}, "x", "", -1, 0, 1.5, 10**40, True, [None], [[["d"]]], "../..", "a/b:1", [1, 2, 3])
_MODEL = "model"


def _show_graph(found: dict[str, Any]) -> None:
    view = GraphView(found.get("nodes", []))
    json_answer(view.view(None))
    json_answer(view.view([item.key for item in view.tree.items]))
    if view.tree.records:
        name = view.tree.records[-1]["name"]
        json_answer(view.node(name))
        view.trace(name, False, [item.key for item in view.tree.items])


def _show_journal(found: dict[str, Any]) -> None:
    view = JournalView(found)
    json_answer(without_nan(view.summary()))
    for position in range(min(len(view.places), 8)):
        json_answer(view.graph(position, "both").view(None))
        json_answer(without_nan(view.edits(position, 0, "a")))
        json_answer(view.declines(position, 0))
    json_answer(without_nan(view.of_node("layer0/w")))


def _show_memory(found: dict[str, Any]) -> None:
    json_answer(memory_view(found))
    json_answer(without_nan(values_of(found, "x")))


def _show_profile(found: dict[str, Any]) -> None:
    json_answer(profile_view(found))
    node_seconds(found)


_SHOW: dict[str, Callable[[dict[str, Any]], None]] = {
    "graph": _show_graph, "journal": _show_journal, "memory": _show_memory, "profile": _show_profile,
}  # fmt: skip


def _show_model(data: bytes, place: Path) -> None:
    place.write_bytes(data)
    view = ChipView(place.parent.resolve(), "", place.name)
    json_answer(without_nan(view.summary(0)))
    json_answer(view.spans(0, 0.0, 1.0))
    json_answer(view.memory(0, 0.0, 1e-3))


def _changed_bytes(data: bytes, source: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(source.randint(1, 4)):
        made[source.randrange(len(made))] = source.randrange(256)
    return bytes(made[: source.randrange(len(made))] if source.random() < 0.1 else made)


def _changed_values(data: bytes, source: random.Random) -> bytes:
    """JSON with some values replaced by others, anywhere in it."""
    top = json.loads(data)
    for _ in range(source.randint(1, 5)):
        owner = top
        while True:
            keys: Any = list(owner) if isinstance(owner, dict) else range(len(owner))
            if not keys:
                break
            key = source.choice(keys)
            if isinstance(owner[key], (dict, list)) and owner[key] and source.random() < 0.8:
                owner = owner[key]
                continue
            owner[key] = copy.deepcopy(source.choice(_ODD))
            break
    return json.dumps(top).encode()


def fuzz(count: int, seed: int = 0) -> dict[bool, int]:
    """Show so many damaged files; how many were shown (True) and how many were refused (False)."""
    source = random.Random(seed)
    outcomes = {True: 0, False: 0}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        write_graph_run(folder)
        good = {kind: (folder / "graphflow" / f"{kind}.json").read_bytes() for kind in KINDS}
        good[_MODEL] = (folder / "small.bmodel").read_bytes()
        for _ in range(count):
            kind = source.choice(list(good))
            change = _changed_bytes if kind == _MODEL or source.random() < 0.3 else _changed_values
            data = change(good[kind], source)
            try:
                if kind == _MODEL:
                    _show_model(data, folder / "damaged.bmodel")
                else:
                    _SHOW[kind](side._checked(kind, data))
                outcomes[True] += 1
            except GraphFlowError as error:
                assert error.message
                outcomes[False] += 1
            except Exception:
                Path(tempfile.gettempdir(), f"graphflow-fuzz-{kind}").write_bytes(data)
                raise
    return outcomes


def main() -> None:
    """Parse the options and run."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    outcomes = fuzz(chosen.count, chosen.seed)
    print(f"{outcomes[True]} shown, {outcomes[False]} refused, none crashed")


if __name__ == "__main__":
    main()
