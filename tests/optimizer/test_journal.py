"""The journal: what each level keeps, and that it is deterministic."""

from __future__ import annotations

import itertools

import pytest

from graphflow.errors import AttributeValueError
from graphflow.optimizer.journal import LEVELS, Journal, describe
from graphflow.optimizer.pipelines import optimize
from tests.optimizer.rewriting import build

TEXT = "x: float32[4] -> e = exp(multiply(x, 1.0)); (subtract(e, 1.0), square(e), add(constant(1.0), 2.0))"


def journal(level: str) -> Journal:
    kept = Journal(level)
    optimize(build(TEXT), "O2", journal=kept)
    return kept


def test_levels_keep_more_and_more() -> None:
    kept = {level: journal(level) for level in LEVELS}
    assert [bool(kept[level].tallies) for level in LEVELS] == [False, True, True, True]
    assert [len(kept[level].entries) for level in LEVELS] == [0, 0, 4, 4]
    assert [bool(kept[level].gone) for level in LEVELS] == [False, False, True, True]
    assert [len(kept[level].remarks) for level in LEVELS] == [0, 0, 0, 1]
    assert [kept[level].edits for level in LEVELS] == [4, 4, 4, 4]


def test_counts_do_not_depend_on_the_level() -> None:
    def tally(level: str) -> dict:
        return {
            key: (one.fired, one.removed, one.added, one.declined)
            for key, one in journal(level).tallies.items()
        }

    assert tally("counts") == tally("entries") == tally("remarks")


def test_entries_tell_an_edit() -> None:
    merge, _, fold, drop = journal("entries").entries
    assert (merge.sequence, merge.pass_name, merge.rule, merge.kind) == (
        0,
        "eliminate",
        "merge_twins",
        "merge",
    )
    assert (merge.removed, merge.added, merge.into) == (("constant_1",), (), ("constant",))
    assert merge.reason == "computes the same as constant"
    assert (fold.pass_name, fold.rule, fold.kind) == ("fold-constants", "fold", "fold")
    assert fold.added == fold.into == (f"{fold.removed[0]}.constant",)
    assert (drop.rule, drop.removed[0], drop.into, drop.flops) == ("neutral_element", "multiply", ("x",), -4)


def test_remarks_say_why_not() -> None:
    (remark,) = journal("remarks").remarks
    assert (remark.rule, remark.node, remark.reason) == ("exp_minus_one", "subtract", "exp has other users")
    assert remark.origin == "<test>:1"


def test_what_is_gone_is_remembered() -> None:
    gone = journal("entries").gone["multiply"]
    assert gone.text == "multiply = multiply(x, constant) : float32[4]" and gone.sequence == 3


def test_iterating_gives_the_entries() -> None:
    kept = journal("entries")
    assert list(kept) == kept.entries
    assert repr(kept) == "<journal at level 'entries': 4 edits>"


def test_two_runs_write_the_same() -> None:
    assert journal("remarks").entries == journal("remarks").entries


def test_passes_are_timed_and_counted() -> None:
    records = journal("counts").passes
    assert [record.name for record in records] == [
        "eliminate", "control-flow", "bodies", "fold-constants", "canonicalize", "name-composites",
    ]  # fmt: skip
    assert all(record.seconds >= 0 for record in records)
    assert [record.changed for record in records] == [True, False, False, True, True, False]
    assert all(first.after == second.before for first, second in itertools.pairwise(records))


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(AttributeValueError, match="no level 'loud'"):
        Journal("loud")


def test_nodes_are_described_in_one_line() -> None:
    program = build(
        "x: float32[4,2] -> a, b = split(sum(x, axis=1), 2); (a, np.arange(99, dtype='f') + 0 * 1)[:1]"
    )
    lines = [describe(node) for node in program.order()]
    assert lines[1] == "sum = sum(x, axis=(1,), keepdims=False) : float32[4]"
    assert lines[2].endswith(": float32[2], float32[2]")
    assert all("\n" not in line for line in lines)
