"""The report: totals, rules, stories, declines, and the same in JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest

import graphflow as gf
from graphflow.errors import GraphFlowError
from graphflow.ir.graph import Graph
from graphflow.ops.declare import placeholder
from graphflow.ops.functions import log
from graphflow.ops.softmax import softmax
from graphflow.optimizer.explain import Report, bytes_text, count_text, explain
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract
from tests.optimizer.rewriting import build

TEXT = "x: float32[4,7] -> e = exp(x); (log(softmax(multiply(x, 1.0))), subtract(e, 1.0), square(e))"


def report(text: str = TEXT, level: str = "remarks", **plans: object) -> Report:
    program, journal = build(text), Journal(level)
    optimize(program, "O2", journal=journal)
    return explain(build(text), program, journal, **plans)


def test_the_report_prints_totals_rules_and_declines() -> None:
    lines = str(report()).splitlines()
    assert lines[0].split() == ["nodes", "FLOP", "weights"]
    assert lines[1].split() == ["as", "built", "9", "280", "8", "B"]
    assert lines[2].split()[:6] == ["after", "O2", "6", "224", "4", "B"] and lines[2].endswith(" s)")
    assert lines[4].split() == ["pass", "rule", "fired", "effect", "evidence"]
    assert [line.split()[:3] for line in lines[5:8]] == [
        ["eliminate", "merge_twins", "1"],
        ["canonicalize", "neutral_element", "1"],
        ["canonicalize", "log_of_softmax", "1"],
    ]
    assert "-1 node, -28 FLOP" in lines[6] and lines[7].endswith("rounding, sampled")
    assert lines[9] == "declined"
    assert lines[10] == "exp_minus_one at subtract (<test>:1): exp has other users"


def test_memory_plans_add_a_column() -> None:
    text = str(
        report(
            original_plan=SimpleNamespace(arena_bytes=2000), optimized_plan=SimpleNamespace(arena_bytes=1500)
        )
    )
    assert "planned peak" in text and "2 kB" in text and "1.5 kB" in text and "-25 %" in text


def test_nothing_to_do_is_said() -> None:
    assert "no rule fired" in str(report("x: float32[3] -> exp(x)"))


def test_long_lists_of_declines_are_cut() -> None:
    powers = "; ".join(f"e{i} = exp(slice(x, {i}, {i + 1}))" for i in range(20))
    uses = ", ".join(f"subtract(e{i}, 1.0), square(e{i})" for i in range(20))
    text = str(report(f"x: float32[40] -> {powers}; ({uses})"))
    assert text.endswith("... and 8 more: report.missed() has them all")
    assert text.count("has other users") == 12
    assert " more" not in str(report())


# Stories


def test_a_tensor_tells_what_it_became() -> None:
    story = report().of("log")
    assert "-> log.log_softmax   by [log_of_softmax]" in story
    assert "runs as log.log_softmax = log_softmax" in story
    assert "log.log_softmax <- [log_of_softmax] <- log (<test>:1), softmax (<test>:1)" in story


def test_tensors_and_nodes_may_be_asked_for() -> None:
    with Graph():
        x = placeholder("x", (3,))
        y = log(softmax(x))
        program, journal = extract([y], feeds=[x]), Journal("entries")
        told = explain(extract([y], feeds=[x]), optimize(program, "O2", journal=journal), journal)
    assert told.of(y) == told.of(y.node) == told.of("log:0") == told.of("log")
    assert f"test_explain.py:{y.node.origin.line}" in told.of(y)


def test_merged_folded_and_dropped_tensors_tell_so() -> None:
    told = report("x: float32[3] -> (exp(x), add(exp(x), add(constant(1.0), 2.0)))")
    assert "-> exp   by [merge_twins]   computes the same as exp" in told.of("exp_1")
    assert "by [fold]" in told.of("add")
    assert "-> add.constant   by [fold] with add" in told.of("constant")
    gone = report("x: float32[3] -> where(constant(True), x, exp(x))").of("exp")
    assert gone.endswith("is no longer needed: removed by [where_constant] in canonicalize")
    assert "runs as x = placeholder" in told.of("x")


def test_what_is_removed_beside_another_goes_on_in_what_stands_for_both() -> None:
    told = report("x: float32[4,7] -> log(softmax(x))").of("softmax")
    assert "-> log.log_softmax   by [log_of_softmax] with log   log(softmax(x))" in told
    assert "runs as log.log_softmax = log_softmax" in told and "no longer needed" not in told


def test_stories_go_on_where_only_a_permutation_was_removed() -> None:
    text = (
        "x: float32[2,3,8,8], w: float32[4,3,3,3] -> c = conv(x, w); "
        "permute_dims(relu(permute_dims(c, (0, 2, 3, 1))), (0, 3, 1, 2))"
    )
    program, journal = build(text), Journal("remarks")
    optimize(program, "O2", "layout,fuse", journal)
    told = explain(build(text), program, journal).of("conv")
    assert "channels_last_conv" in told.splitlines()[-1] and "mean" not in told


def test_stories_name_the_loop_that_a_node_is_in() -> None:
    program, journal = build("x: float32[4,7] -> relu(add(exp(x), 2.0))"), Journal("remarks")
    optimize(program, "O2", "fuse", journal)
    told = explain(build("x: float32[4,7] -> relu(add(exp(x), 2.0))"), program, journal)
    assert told.of("add").endswith("runs as add = add, in fused_0, one loop of exp+add+relu")
    told = replace(told, kernel_of=lambda node: f"kernel {node.op.name}")
    assert told.of("exp").endswith("one loop of exp+add+relu, kernel exp")


def test_what_is_no_tensor_is_refused() -> None:
    told = report()
    for wrong in (3, None, 2.5, ["log"]):
        with pytest.raises(GraphFlowError, match="is no tensor"):
            told.of(wrong)
        with pytest.raises(GraphFlowError, match="is no tensor"):
            told.why_not("log_of_softmax", wrong)
    with pytest.raises(GraphFlowError) as caught:
        told.of("sofmax")
    assert caught.value.hint == "did you mean 'softmax'?"


def looping() -> list[gf.Tensor]:
    """Loops, a choice and a loop without a bound, with something to simplify in each."""
    x = gf.placeholder("x", (7, 4))
    last, seen = gf.scan(lambda c, row: (gf.tanh(c + row * 1.0), gf.exp(row) / 1.0), gf.zeros((4,)), x)
    chosen = gf.cond(gf.sum(last) > 0, lambda: gf.exp(last * 1.0), lambda: last * 2.0)
    ended = gf.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * 1.0 + 1.0), (gf.constant(0), last))
    return [gf.sum(seen) * 1.0, chosen, ended[1]]


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_all_lines_and_all_passes_add_up_to_the_totals(backend: str) -> None:
    fetches = looping()
    told = gf.Session(backend=backend).explain(fetches)
    for name in ("nodes", "flops", "bytes"):
        moved = getattr(told.after, name) - getattr(told.before, name)
        assert sum(getattr(line, name) for line in told.lines) == moved != 0
        steps = [(getattr(one.before, name), getattr(one.after, name)) for one in told.meter.passes]
        assert steps[0][0] == getattr(told.before, name) and steps[-1][1] == getattr(told.after, name)
        assert all(first[1] == second[0] for first, second in pairwise(steps))
    assert any(line.inside < 0 for line in told.lines) and "in bodies" in str(told)
    assert "loops that have no bound run once" in str(told)


def test_sizes_that_are_known_count_in_totals_lines_and_stories() -> None:
    x = gf.placeholder("x", ("n", 4))
    y = gf.sin(gf.exp(x)[:3])
    with gf.Session(backend="numpy") as sess:
        told = sess.explain(y, sizes={"n": 3})
    assert told.after.nodes == len(told.sized.optimized.order()) < len(told.optimized.order())
    assert [line.pass_name for line in told.lines if line.rule == "slice_of_everything"] == [
        "canonicalize at sizes"
    ]
    assert sum(line.nodes for line in told.lines) == told.after.nodes - told.before.nodes
    story = told.of("slice")
    assert "and once it is known that n = 3:" in story and "by [slice_of_everything]" in story
    assert "runs as exp = exp, in fused" in told.of("exp")


def test_no_line_of_a_report_is_wide() -> None:
    with gf.name_scope("a_rather_long_name_of_a_scope/and_one_below_it"):
        x = gf.placeholder("x", ("batch", 64))
        w = gf.variable("kernel_of_the_product", (64, 64))
        e = gf.exp(gf.matmul(x, w))
        loss = gf.mean(gf.subtract(e, 1.0)) + gf.sum(gf.square(e))
    with gf.Session() as sess:
        text = str(sess.explain([loss, *gf.gradients(loss, [w])], sizes={"batch": 2}))
    assert "declined" in text and [line for line in text.splitlines() if len(line) > 124] == []


def test_a_notebook_shows_what_was_measured() -> None:
    fetches = looping()
    told = gf.Session(backend="numpy").explain(fetches)
    shown = told._repr_html_()
    assert "<th>peak</th>" in shown and "in bodies" in shown and "loops that have no bound" in shown
    assert "<th>peak</th>" not in report()._repr_html_()
    assert told.diff("canonicalize")._repr_html_().startswith("<iframe ")


def test_a_report_is_measured_for_sizes() -> None:
    x = gf.placeholder("x", ("n", 4))
    told = gf.optimize(gf.Model(inputs=[x], outputs={"y": gf.exp(x * 1.0)})).report
    assert told.measured().before.flops == 8 and told.measured({"n": 5}).before.flops == 40
    assert "counted with n = 5" in str(told.measured({"n": 5}))


def test_stories_go_back_through_several_rules() -> None:
    told = report("x: float32[3] -> log(add(exp(multiply(x, 1.0)), 1.0))")
    story = told.of("log")
    assert "runs as log.softplus = softplus" in story
    assert "log.softplus <- [log1p_of_exp] <- log.log1p (<test>:1), exp (<test>:1)" in story
    assert "log.log1p <- [log_of_one_plus] <- log (<test>:1), add (<test>:1)" in story


def test_unknown_tensors_and_missing_entries_are_errors() -> None:
    with pytest.raises(GraphFlowError, match="knows no tensor 'lag'") as caught:
        report().of("lag")
    assert "did you mean" in str(caught.value)
    with pytest.raises(GraphFlowError, match="level 'counts'"):
        report(level="counts").of("log")


# Data


def test_declines_can_be_asked_for() -> None:
    told = report()
    assert [remark.node for remark in told.missed()] == ["subtract"]
    assert told.missed("exp_minus_one") == told.missed("canonicalize") == told.missed()
    assert told.missed("log_of_softmax") == []


def test_the_report_is_json() -> None:
    data = json.loads(json.dumps(report().to_dict()))
    assert data["before"] == {
        "nodes": 9, "flops": 280, "weight_bytes": 8, "peak_bytes": None, "inside": 0, "bytes": 1472
    }  # fmt: skip
    assert [line["rule"] for line in data["rules"] if line["fired"]] == [
        "merge_twins", "neutral_element", "log_of_softmax",
    ]  # fmt: skip
    assert data["entries"][0]["removed"] == ["constant_1"] and data["declined"][0]["node"] == "subtract"
    assert [record["name"] for record in data["passes"]] == [
        "eliminate", "control-flow", "bodies", "fold-constants", "canonicalize", "name-composites",
    ]  # fmt: skip


def test_counts_make_a_report_without_flops() -> None:
    told = report(level="counts")
    assert all(line.flops is None for line in told.lines) and "-1 node " in str(told)
    assert told.missed() == []


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 "), (999, "999 "), (1000, "1 k"), (999_600, "1 M"), (8_210_000_000, "8.21 G")]
)
def test_counts_have_prefixes(number: int, text: str) -> None:
    assert count_text(number) == text and bytes_text(number) == f"{text}B"


def test_no_bytes_are_a_dash() -> None:
    assert bytes_text(None) == "-"


def test_nodes_in_bodies_are_counted_beside_the_others() -> None:
    """And what a loop computes is counted for all of its steps."""
    x = gf.placeholder("x", (4,))
    y = gf.fori_loop(0, 10, lambda i, c: gf.exp(c) + 1.0, x)
    made = gf.Session(y.graph).explain(y)
    assert (made.before.nodes, made.before.inside) == (3, 5)  # with the numbers, and parameters
    assert made.before.flops == made.after.flops == 10 * (4 + 4)
    assert "nodes + in bodies" in str(made) and "3 + 5" in str(made)
    plain = gf.Session(y.graph).explain(gf.exp(x))
    assert plain.before.inside == 0 and "in bodies" not in str(plain)
