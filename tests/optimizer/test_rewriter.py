"""The Rewriter: uses, value numbers and liveness stay true through every edit."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.errors import RewriteError
from graphflow.ir.graph import Graph
from graphflow.ir.node import Tensor
from graphflow.ir.verify import verify
from graphflow.ops.declare import constant, placeholder
from graphflow.ops.elementwise import add, multiply, negative
from graphflow.ops.functions import exp
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.numbering import CONTENT_LIMIT
from graphflow.optimizer.program import Program, extract
from graphflow.optimizer.rewriter import Rewriter
from tests.optimizer.rewriting import build, show


def opened(text: str, level: str = "entries") -> tuple[Rewriter, Program, Journal]:
    program, journal = build(text), Journal(level)
    return Rewriter(program, journal), program, journal


def node(program: Program, op_name: str, which: int = 0) -> Tensor:
    return [node for node in program.order() if node.op.name == op_name][which].outputs[0]


def check_invariants(rewriter: Rewriter) -> None:
    """What the module docstring promises, computed again from nothing."""
    order = rewriter.program.order()
    needed = {*order, *(tensor.node for tensor in rewriter.program.feeds)}
    assert rewriter.size == len(needed)
    assert all(rewriter.is_alive(node) for node in needed)
    reads: dict[Tensor, dict] = {tensor: {} for node in needed for tensor in node.outputs}
    for one in order:
        for tensor in one.inputs:
            reads[tensor][one] = reads[tensor].get(one, 0) + 1
    assert rewriter.users == reads
    keys = [(one.op, one.inputs, one.attrs.key) for one in order if one.op.name != "placeholder"]
    assert len(set(keys)) == len(keys)


# Value numbering


def test_equal_nodes_are_merged_at_once() -> None:
    rewriter, program, journal = opened("x: float32[3] -> (exp(x), exp(x), negative(exp(x)))")
    assert rewriter.size == 3
    assert program.outputs[0] is program.outputs[1]
    assert [entry.kind for entry in journal.entries] == ["merge", "merge"]
    assert journal.entries[0].into == ("exp",) and journal.entries[0].removed == ("exp_1",)
    check_invariants(rewriter)


def test_operands_of_commutative_operators_have_no_order() -> None:
    assert opened("x: float32[3], y: float32[3] -> (add(x, y), add(y, x))")[0].size == 3
    assert opened("x: float32[3], y: float32[3] -> (divide(x, y), divide(y, x))")[0].size == 4


def test_bits_tell_constants_apart() -> None:
    rewriter, *_ = opened(
        "-> (constant(0.0), constant(-0.0), constant(0), constant(0.0, 'float64'), constant(0.0))"
    )
    assert rewriter.size == 4


def test_large_constants_of_equal_bytes_are_merged() -> None:
    data = np.ones(CONTENT_LIMIT, np.float32)
    with Graph():
        program = extract([constant(data), constant(data.copy()), constant(-data)])
    assert Rewriter(program).size == 2


def test_what_comes_from_outside_is_never_merged() -> None:
    rewriter, *_ = opened("x: float32[3], y: float32[3] -> (x, y)")
    assert rewriter.size == 2


def test_attributes_tell_nodes_apart() -> None:
    rewriter, *_ = opened("x: float32[2,2] -> (sum(x, axis=0), sum(x, axis=1), sum(x, axis=-1))")
    assert rewriter.size == 3


def test_merging_can_be_left_out() -> None:
    program = build("x: float32[3] -> (exp(x), exp(x))")
    assert Rewriter(program, merge_twins=False).size == 3


# Edits


def test_a_replacement_takes_over_users_and_outputs() -> None:
    rewriter, program, journal = opened("x: float32[3] -> n = negative(negative(x)); (n, exp(n))")
    outer = node(program, "negative", 1)
    assert rewriter.replace(outer, program.feeds[0], "double_negation")
    check_invariants(rewriter)
    rewriter.settle()
    assert show(program) == show(build("x: float32[3] -> (x, exp(x))"))
    (entry,) = journal.entries
    assert entry.removed == ("negative_1", "negative") and entry.added == () and entry.into == ("x",)
    assert entry.flops == -6
    assert journal.gone["negative"].text == "negative = negative(x) : float32[3]"


def test_new_nodes_know_what_they_stand_for() -> None:
    rewriter, program, journal = opened("x: float32[3] -> exp(negative(x))")
    root = node(program, "exp")
    builder = rewriter.builder.standing_for([root.node, root.node.inputs[0].node], "a_rule")
    rewriter.replace(root, builder.reciprocal(builder.exp(program.feeds[0])), "a_rule")
    made = program.outputs[0].node
    assert made.name == "exp.reciprocal" and made.origin == root.node.origin
    assert made.lineage == ("a_rule", ("exp", "negative"))
    assert journal.entries[0].added == ("exp.exp", "exp.reciprocal")
    check_invariants(rewriter)


def test_derived_names_do_not_pile_up() -> None:
    rewriter, program, _ = opened("x: float32[3] -> negative(x)")
    for _ in range(3):
        root = program.outputs[0]
        builder = rewriter.builder.standing_for([root.node], "flip")
        flipped = builder.exp if root.node.op.name == "negative" else builder.negative
        rewriter.replace(root, flipped(program.feeds[0]), "flip")
    assert program.outputs[0].node.name == "negative.exp_1"


def test_the_builder_finds_what_is_there() -> None:
    rewriter, program, _ = opened("x: float32[3] -> (exp(x), negative(x))")
    before = len(program.nodes)
    assert rewriter.builder.exp(program.feeds[0]) is program.outputs[0]
    assert len(program.nodes) == before and not rewriter.builder.made


def test_edits_that_make_nodes_equal_merge_them() -> None:
    """Replacing b by a makes exp(b) a twin of exp(a), and so on upwards: congruence closure."""
    rewriter, program, journal = opened(
        "x: float32[3] -> a = negative(negative(x)); (sqrt(exp(x)), sqrt(exp(a)))"
    )
    rewriter.replace(node(program, "negative", 1), program.feeds[0], "double_negation")
    assert rewriter.size == 3
    assert [entry.kind for entry in journal.entries] == ["replace", "merge", "merge"]
    check_invariants(rewriter)


def test_the_twin_with_fewer_users_yields() -> None:
    rewriter, program, _ = opened(
        "x: float32[3] -> a = exp(x); b = exp(negative(negative(x))); (sqrt(a), sin(b), cos(b), tan(b))"
    )
    busy = node(program, "sin").node.inputs[0]
    rewriter.replace(node(program, "negative", 1), program.feeds[0], "double_negation")
    assert node(program, "sqrt").node.inputs[0] is busy
    check_invariants(rewriter)


def test_a_chain_of_twins_closes_without_recursion() -> None:
    """One edit makes two chains of 2000 nodes equal, link by link."""
    with Graph():
        x = placeholder("x", (2,))
        left, right = x, negative(negative(x))
        for _ in range(2000):
            left, right = exp(left), exp(right)
        program = extract([left, right], feeds=[x])
    journal = Journal("counts")
    rewriter = Rewriter(program, journal)
    rewriter.replace(node(program, "negative", 1), program.feeds[0], "double_negation")
    assert rewriter.size == 2001 and program.outputs[0] is program.outputs[1]
    assert journal.tallies["", "merge_twins"].fired == 2000


def test_merging_hubs_moves_each_user_few_times() -> None:
    """1024 equal nodes with one user each become one node: n log n moves, not n^2."""
    moves = 0

    class Counting(Rewriter):
        __slots__ = ()

        def _move_uses(self, before: Tensor, after: Tensor, reading: object) -> None:
            nonlocal moves
            moves += len(self.users[before])
            super()._move_uses(before, after, reading)

    count = 1024
    with Graph():
        x = placeholder("x", (2,))
        hidden = [exp(negative(negative(multiply(x, float(i))))) for i in range(count)]
        program = extract([multiply(h, 3.0) for h in hidden], feeds=[x])
    rewriter = Counting(program)
    for one in [n for n in program.order() if n.op.name == "multiply" and n.inputs[0] is program.feeds[0]]:
        if rewriter.is_alive(one):
            rewriter.replace(one, program.feeds[0], "all_equal")
    assert rewriter.size == 6
    assert moves <= 8 * count * 10
    check_invariants(rewriter)


def test_dead_code_goes_with_its_last_user() -> None:
    rewriter, program, _ = opened("x: float32[3], y: float32[3] -> add(x, exp(sqrt(sin(y))))")
    rewriter.replace(program.outputs[0], program.feeds[0], "drop")
    assert rewriter.size == 2, "both feeds stay: they are the program's signature"
    rewriter.settle()
    assert [one.name for one in program.nodes] == ["x", "y"]
    assert [tensor.node.name for tensor in program.feeds] == ["x", "y"]


def test_dead_code_of_any_depth_goes_without_recursion() -> None:
    with Graph():
        x = placeholder("x", ())
        y = x
        for _ in range(50_000):
            y = exp(y)
        program = extract([add(x, y)], feeds=[x])
    rewriter = Rewriter(program)
    rewriter.replace(program.outputs[0], program.feeds[0], "drop")
    assert rewriter.size == 1


def test_spare_new_nodes_are_dropped() -> None:
    rewriter, program, journal = opened("x: float32[3] -> exp(x)")
    builder = rewriter.builder.standing_for([program.outputs[0].node], "a_rule")
    builder.sqrt(builder.sin(program.feeds[0]))
    rewriter.replace(program.outputs[0], builder.cos(program.feeds[0]), "a_rule")
    assert journal.entries[0].added == ("exp.cos",) and journal.entries[0].removed == ("exp",)
    check_invariants(rewriter)


def test_inserting_leaves_the_new_node_reading() -> None:
    rewriter, program, journal = opened("x: float32[3] -> e = exp(x); (e, sqrt(e))")
    tensor = program.outputs[0]
    builder = rewriter.builder.standing_for([tensor.node], "guard")
    rewriter.insert_after(tensor, builder.abs(tensor), "guard")
    rewriter.settle()
    assert show(program) == show(build("x: float32[3] -> e = abs(exp(x)); (e, sqrt(e))"))
    assert journal.entries[0].kind == "insert"


def test_several_outputs_are_replaced_together() -> None:
    rewriter, program, _ = opened("x: float32[4] -> a, b = split(x, 2); (exp(a), exp(b))")
    pieces = node(program, "split").node
    b = rewriter.builder.standing_for([pieces], "cut")
    cut = [b.slice(program.feeds[0], starts=(at,), stops=(at + 2,)) for at in (0, 2)]
    rewriter.replace(pieces, cut, "cut")
    check_invariants(rewriter)
    rewriter.settle()
    assert show(program) == show(build("x: float32[4] -> (exp(slice(x, 0, 2)), exp(slice(x, 2, 4)))"))


def test_an_unread_output_needs_no_replacement() -> None:
    rewriter, program, _ = opened("x: float32[4] -> a, b = split(x, 2); exp(a)")
    pieces = node(program, "split").node
    b = rewriter.builder.standing_for([pieces], "cut")
    rewriter.replace(pieces, [b.slice(program.feeds[0], starts=(0,), stops=(2,)), None], "cut")
    assert rewriter.size == 3


def test_settling_renumbers_what_is_left() -> None:
    rewriter, program, _ = opened("x: float32[3] -> exp(multiply(x, constant(1.0)))")
    rewriter.replace(node(program, "multiply"), program.feeds[0], "drop")
    rewriter.settle()
    verify(program)
    assert [one.id for one in program.nodes] == [0, 1]


def test_variables_nobody_reads_leave_the_table() -> None:
    from graphflow.ops.declare import variable

    with Graph():
        x, w = placeholder("x", (3,)), variable("w", (3,))
        program = extract([add(x, w)], feeds=[x])
    rewriter = Rewriter(program)
    rewriter.replace(program.outputs[0], program.feeds[0], "drop")
    rewriter.settle()
    assert program.variables == {}


def test_use_counts_count_reads_and_outputs() -> None:
    rewriter, program, _ = opened("x: float32[3] -> e = exp(x); (e, e, multiply(e, e), sqrt(e))")
    assert rewriter.use_count(program.outputs[0]) == 5
    assert rewriter.use_count(program.feeds[0]) == 1


# Refusals, each of which leaves the program as it was


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda b, x, root: b.astype(x, dtype="float64"), "of type float32[3] by"),
        (lambda b, x, root: b.sum(x), "of type float32[3] by"),
        (lambda b, x, root: b.negative(root), "something that reads it"),
        (lambda b, x, root: 3.0, "returned 3.0"),
        (lambda b, x, root: [x, x], "gave 2 tensors for the 1"),
        (lambda b, x, root: [None], "gave nothing for 'exp:0', which has users"),
    ],
)
def test_wrong_replacements_are_refused(make: object, sentence: str) -> None:
    rewriter, program, journal = opened("x: float32[3] -> exp(x)")
    root = program.outputs[0]
    before = show(program)
    with pytest.raises(RewriteError, match="a_rule") as caught:
        builder = rewriter.builder.standing_for([root.node], "a_rule")
        rewriter.replace(root.node, make(builder, program.feeds[0], root), "a_rule")
    assert sentence in caught.value.message
    rewriter.discard_made()
    assert show(program) == before and not journal.entries
    check_invariants(rewriter)


def test_tensors_of_other_graphs_are_refused() -> None:
    rewriter, program, _ = opened("x: float32[3] -> exp(x)")
    with pytest.raises(RewriteError, match="not part of the program"):
        rewriter.replace(program.outputs[0], build("x: float32[3] -> sqrt(x)").outputs[0], "a_rule")


def test_a_removed_node_cannot_be_replaced() -> None:
    rewriter, program, _ = opened("x: float32[3] -> exp(x)")
    gone = program.outputs[0]
    rewriter.replace(gone, program.feeds[0], "drop")
    with pytest.raises(RewriteError, match="no longer part of the program"):
        rewriter.replace(gone, program.feeds[0], "drop")


def test_replacing_a_tensor_by_itself_is_no_edit() -> None:
    rewriter, program, journal = opened("x: float32[3] -> exp(x)")
    assert not rewriter.replace(program.outputs[0], program.outputs[0], "nothing")
    assert not journal.entries and not journal.edits
