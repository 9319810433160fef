"""The optimizer's journal step by step: how the graph was before and after each pass, and by which edits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphflow.board.graph_view import MARKS, GraphView
from graphflow.errors import AttributeValueError

SHOWN = ("both", "before", "after")
MOST_PASSES = 1000
MOST_EDITS = 300  # in one answer
_MOST_NAMES = 50  # of an edit
_LONGEST = 2000
_REMOVED, _ADDED, _CHANGED = (MARKS.index(name) for name in ("removed", "added", "changed"))

Records = dict[str, Mapping[str, Any]]


class JournalView:
    """A journal that can be gone through; position 0 is the graph before any pass.

    Arguments:
        content: as `journal.json` has it, mended by `store.side`.

    Attributes:
        places: one dict for each position; see `_place`.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = content
        self.steps: list[Mapping[str, Any]] = list(content.get("steps", ()))
        self.entries: list[Mapping[str, Any]] = list(content.get("entries", ()))
        self.declined: list[Mapping[str, Any]] = list(content.get("declined", ()))
        self.places: list[dict[str, Any]] = [self._place({}, "", -1, 0), *self._passes()][:MOST_PASSES]

    def _passes(self) -> Iterator[dict[str, Any]]:
        """The passes that ran, each with its step if it changed something."""
        remarks: dict[str, int] = {}
        for one in self.declined:
            remarks[_text(one, "pass_name")] = remarks.get(_text(one, "pass_name"), 0) + 1
        following = 0
        named = [{"name": _text(step, "pass_name")} for step in self.steps]
        listed = list(self.content.get("passes", ())) or named
        for record in listed:
            name = _text(record, "name")
            step = -1
            if following < len(self.steps) and _text(self.steps[following], "pass_name") == name:
                step, following = following, following + 1
            yield self._place(record, name, step, remarks.get(name, 0))

    def _place(self, record: Mapping[str, Any], name: str, step: int, declined: int) -> dict[str, Any]:
        """What the slider says of a pass; counts of nodes and edits, costs before and after."""
        found = self.steps[step] if step >= 0 else {}
        cost = record.get("cost")
        return {
            "name": name,
            "step": step,
            "seconds": record.get("seconds", 0),
            "before": record.get("before", 0),
            "after": record.get("after", 0),
            "note": _text(record, "note"),
            "entries": list(self._span(found)),
            "removed": len(found.get("removed", ())),
            "changed": len(found.get("nodes", ())),
            "declined": declined,
            "cost": cost if isinstance(cost, dict) else None,
        }

    def _span(self, step: Mapping[str, Any]) -> tuple[int, int]:
        """The numbers of the edits of a step, within those that there are."""
        pair = step.get("entries")
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, int) for one in pair)):
            return 0, 0
        start = min(max(pair[0], 0), len(self.entries))
        return start, min(max(pair[1], start), len(self.entries))

    def check(self, position: int) -> int:
        """The position, if there is one.

        Raises:
            AttributeValueError: if there is not.
        """
        if not 0 <= position < len(self.places):
            raise AttributeValueError(
                f"the journal has no position {position}", hint=f"there are {len(self.places)}, from 0"
            )
        return position

    def summary(self) -> dict[str, Any]:
        """What the slider needs: the positions, and what all passes together came to."""
        keys = ("label", "seconds", "before", "after")
        rules = self.content.get("rules", ())
        return {
            "places": self.places,
            **{key: self.content.get(key) for key in keys},
            "edits": len(self.entries),
            "declined": len(self.declined),
            "rules": list(rules)[:MOST_PASSES],
        }

    # The graph at a position

    def graph(self, position: int, shown: str, seconds: Mapping[str, float] | None = None) -> GraphView:
        """The graph before and after a pass, one of them or both in one, with marks.

        Arguments:
            shown: "both", "before" or "after".

        Raises:
            AttributeValueError: if there is no such position.
        """
        step = self._last_step(self.check(position))
        before, after = self._states(step)
        marks, edges = _marks(before, after)
        if shown == "before":
            return GraphView(list(before.values()), seconds, marks, edges)
        if shown == "after":
            return GraphView(list(after.values()), seconds, marks, edges)
        return GraphView(_union(before, after), seconds, marks, edges)

    def _last_step(self, position: int) -> tuple[int, bool]:
        """How many steps were done by then, and whether the last one was made by this very pass."""
        done = sum(place["step"] >= 0 for place in self.places[: position + 1])
        return done, self.places[position]["step"] >= 0

    def _states(self, step: tuple[int, bool]) -> tuple[Records, Records]:
        """The records before and after, by name."""
        done, here = step
        state: Records = {record["name"]: record for record in self.content.get("nodes", ())}
        before = state
        for number in range(done):
            if here and number == done - 1:
                before = dict(state)
            for name in self.steps[number]["removed"]:
                state.pop(name, None)
            state.update({record["name"]: record for record in self.steps[number]["nodes"]})
        return (before, state) if here else (state, state)

    # Edits

    def edits(self, position: int, start: int, words: str = "") -> dict[str, Any]:
        """The edits of a pass, in parts, and what its rules say.

        Arguments:
            start: the first of those asked for, counted within the pass.
            words: only those whose rule, kind, nodes or reason contain this.

        Raises:
            AttributeValueError: if there is no such position.
        """
        place = self.places[self.check(position)]
        first, last = place["entries"]
        chosen = [one for one in self.entries[first:last] if not words or _says(one, words)]
        return {
            "count": len(chosen),
            "start": start,
            "edits": [self._edit(one) for one in chosen[start : start + MOST_EDITS]],
            "rules": [one for one in self.content.get("rules", ()) if one.get("pass_name") == place["name"]][
                :MOST_PASSES
            ],
        }

    def declines(self, position: int, start: int, words: str = "") -> dict[str, Any]:
        """Where rules of a pass matched but did nothing, and why; of all passes for position 0.

        Raises:
            AttributeValueError: if there is no such position.
        """
        name = self.places[self.check(position)]["name"]
        chosen = [
            one
            for one in self.declined
            if (not position or one.get("pass_name") == name) and (not words or _says(one, words))
        ]
        keys = ("pass_name", "rule", "node", "reason", "origin")
        listed = [{key: _text(one, key) for key in keys} for one in chosen[start : start + MOST_EDITS]]
        return {"count": len(chosen), "start": start, "declined": listed}

    def of_node(self, name: str) -> dict[str, Any]:
        """The edits that made, removed or replaced a node, and the rules that declined there."""
        keys = {name, *self._keys_of(name)}
        edits = [
            {**self._edit(one), "pass_name": _text(one, "pass_name")}
            for one in self.entries
            if keys & {*_names(one, "removed"), *_names(one, "added"), *_names(one, "into")}
        ]
        declined = [one for one in self.declined if _text(one, "node") in keys]
        listed = [{key: _text(one, key) for key in ("pass_name", "rule", "reason")} for one in declined]
        return {"edits": edits[:MOST_EDITS], "declined": listed[:MOST_EDITS]}

    def _keys_of(self, name: str) -> list[str]:
        for records in (self.content.get("nodes", ()), *(step["nodes"] for step in self.steps)):
            for record in records:
                if record["name"] == name and "key" in record:
                    return [str(record["key"])]
        return []

    def _edit(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        removed = _names(entry, "removed")[:_MOST_NAMES]
        gone = self.content.get("gone")
        gone = gone if isinstance(gone, dict) else {}
        told = gone.get(removed[0]) if removed else None
        told = told if isinstance(told, dict) else {}
        return {
            "sequence": entry.get("sequence", 0),
            **{key: _text(entry, key) for key in ("rule", "kind", "reason")},
            "removed": removed,
            "added": _names(entry, "added")[:_MOST_NAMES],
            "into": _names(entry, "into")[:_MOST_NAMES],
            "flops": entry.get("flops", 0),
            "bytes": entry.get("bytes", 0),
            "text": _text(told, "text"),
            "line": _text(told, "line"),
        }


def _marks(before: Records, after: Records) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """What became of nodes and edges."""
    if before is after:
        return {}, {}
    marks = {name: _REMOVED for name in before if name not in after}
    marks |= {name: _ADDED for name in after if name not in before}
    marks |= {name: _CHANGED for name, one in after.items() if name in before and before[name] != one}
    old, new = ({*_pairs(records, marks)} for records in (before, after))
    edges = {pair: _REMOVED for pair in old - new}
    edges |= {pair: _ADDED for pair in new - old}
    return marks, edges


def _pairs(records: Records, marks: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """The edges into marked nodes, by names."""
    for name in marks:
        for text in records[name]["inputs"] if name in records else ():
            yield (text if text in records else text.rpartition(":")[0] or text), name


def _union(before: Records, after: Records) -> list[Mapping[str, Any]]:
    """All nodes of both, those that are gone at their old places, with the inputs of both."""
    if before is after:
        return list(after.values())
    found: list[Mapping[str, Any]] = []
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            found.append(old)
        elif new["inputs"] == old["inputs"]:
            found.append(new)
        else:
            found.append({**new, "inputs": list(dict.fromkeys([*new["inputs"], *old["inputs"]]))})
    return found + [one for name, one in after.items() if name not in before]


def _says(one: Mapping[str, Any], words: str) -> bool:
    lists = [text for key in ("removed", "added", "into") for text in _names(one, key)]
    texts = [_text(one, key) for key in ("rule", "kind", "reason", "node")]
    wanted = words.lower()
    return any(wanted in text.lower() for text in (*texts, *lists))


def _text(one: Mapping[str, Any], key: str) -> str:
    return str(one.get(key, ""))[:_LONGEST]


def _names(one: Mapping[str, Any], key: str) -> Sequence[str]:
    found = one.get(key)
    return [str(name)[:_LONGEST] for name in found] if isinstance(found, list) else []
