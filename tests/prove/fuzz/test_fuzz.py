"""Fuzzing: graphs repeat by their seed, sound optimizers pass, planted faults are found and made small."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import GraphFlowError
from graphflow.optimizer import rules as all_rules
from graphflow.optimizer.closeness import distance
from graphflow.optimizer.passes import canonicalize
from graphflow.optimizer.pattern import P, variables
from graphflow.optimizer.pipelines import level_pipeline
from graphflow.optimizer.rule import rule
from graphflow.prove.fuzz import generated, hunt, pieces, programs, weighted
from graphflow.prove.fuzz.draw import Draw
from graphflow.prove.fuzz.noise import explained, hangs_on_nan
from graphflow.prove.fuzz.programs import LARGEST, LEFT_OUT
from graphflow.prove.subject import Subject

X, Y = variables("X Y")
PACKING = level_pipeline("O2") + ",layout{packed=true},pack-weights{lanes=16}"


@rule(P.multiply(X, Y), safety="exact")
def first_of_two(match, b):
    """x * y = x, which is wrong."""
    return match.X if match.X.type is match.output.type else None


def text(number: int) -> str:
    made = generated(11, number)
    arrays: dict[str, np.ndarray] = {}
    return gf.print_graph(made.graph, arrays) + repr({name: a.tolist() for name, a in made.inputs.items()})


def test_graphs_repeat_by_seed_and_number() -> None:
    assert text(0) == text(0) != text(1)


def test_graphs_are_varied_and_their_values_moderate() -> None:
    operators: Counter[str] = Counter()
    symbolic = slopes = 0
    dtypes = set()
    for number in range(40):
        made = generated(5, number)
        gf.verify(made.graph)
        assert not made.crashes
        operators.update(node.op.name for node in made.graph.nodes)
        dtypes |= {tensor.dtype.name for tensor in made.graph.placeholders.values()}
        symbolic += any(not tensor.type.is_static for tensor in made.graph.placeholders.values())
        slopes += any(tensor.node.name.startswith("gradients") for tensor in made.outputs)
        if number < 8:
            for value in run(made):
                assert value.dtype.kind not in "fc" or np.abs(value).max(initial=0) <= LARGEST
    assert len(operators) > 80 and operators["scan"] and operators["while_loop"] and operators["switch_case"]
    assert len(dtypes) > 6 and 5 < symbolic < 35 and slopes > 4
    inner = {"scan", "while_loop", "switch_case", "call", "bitcast", "svd"}  # gradients make the last two
    inner |= {"solve", "inv", "cholesky"}
    assert not set(operators) & (set(LEFT_OUT) - inner)


def run(made) -> list[np.ndarray]:
    subject = Subject(list(made.outputs))
    needed = {name: made.inputs[name] for name in subject.inputs}
    try:
        found = subject.model.run(needed, backend="numpy", level="O0")
    except GraphFlowError:  # no feed tells a size
        return []
    return list(found.values())


@pytest.mark.parametrize("kind", dict.fromkeys(pieces._KINDS), ids=lambda kind: kind.__name__)
def test_each_piece_can_be_made(kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_KINDS", (kind,))
    made = [pieced(seed, 0.85) for seed in range(12)]
    assert sum(map(bool, made)) >= 3, "most of its calls are refused"


@pytest.mark.parametrize("kind", dict.fromkeys(weighted._KINDS), ids=lambda kind: kind.__name__)
def test_each_product_with_weights_can_be_made(kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighted, "_KINDS", (kind,))
    made = [pieced(seed, 0.91) for seed in range(6)]
    assert sum(map(bool, made)) >= 3, "most of its calls are refused"


def pieced(seed: int, chance: float) -> list[gf.Tensor]:
    """What is made in a small graph where that number is drawn."""
    with gf.Graph() as graph:
        return attempted(programs._Growing(Draw(seed), graph), chance)


def attempted(growing: programs._Growing, chance: float) -> list[gf.Tensor]:
    try:
        return [tensor for tensor in growing._made(chance) if growing._is_good(tensor)]
    except GraphFlowError:
        return []


def test_convolutions_and_products_are_cut_into_panels() -> None:
    """Random graphs have something for machine kernels, and the rules that feed these keep its values."""
    with gf.Graph() as graph:
        growing = programs._Growing(Draw(17), graph)
        growing.symbol = None
        made = [tensor for _ in range(12) for tensor in attempted(growing, 0.91)]
    model = gf.Model(graph, inputs=list(graph.placeholders.values()), outputs=made)
    packed = gf.optimize(model, pipeline=PACKING).graph
    assert sum(node.op.name == "packed_conv" for node in packed.nodes) >= 4
    inputs = {name: growing.inputs[name] for name in Subject(made).inputs}
    found = gf.prove.check(made, inputs, [PACKING], ["numpy"])
    assert found.passed, str(found)


def test_a_sound_optimizer_passes() -> None:
    found = hunt(60.0, 4, backends=["numpy"], graphs=8)
    assert found.passed, str(found)
    assert found.graphs == found.backends["numpy"] == 8 and "0 faults" in str(found)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong rule among those of the package."""
    rules = (first_of_two, *all_rules.RULES)
    monkeypatch.setattr(canonicalize, "RULES", rules)
    canonicalize._index.cache_clear()
    yield
    canonicalize._index.cache_clear()


def test_a_wrong_rule_is_found_shrunk_and_written(planted: None, tmp_path: Path) -> None:
    found = hunt(60.0, 21, ["O1"], ["numpy"], graphs=8, folder=tmp_path)
    mine = [one for one in found.findings if "first_of_two" in one.fault.rules]
    assert mine and not found.passed
    smallest = min((one for one in mine if one.minimal), key=lambda one: one.minimal.nodes)
    assert smallest.minimal.nodes <= 4 and "multiply" in smallest.minimal.text
    assert smallest.fault.kind == "parted" and (smallest.fault.backend, smallest.fault.level) == (
        "numpy",
        "O1",
    )
    assert f"--seed 21 --start {smallest.number} --graphs 1" in str(smallest)
    again = hunt(60.0, 21, ["O1"], ["numpy"], start=smallest.number, graphs=1)
    assert [one.fault for one in again.findings if one.fault.rules == smallest.fault.rules]
    path = next(Path(file) for file in smallest.files if file.endswith(".py"))
    assert "graphflow fuzz" in path.read_text()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)],
        capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout  # the rule is planted in this process alone


# What rounding explains


def test_noise_explains_cancellation_and_ties_and_nothing_else() -> None:
    x = gf.placeholder("x", (3,))
    close = gf.subtract(gf.sin(x) * 1000.0, gf.sin(x + 1e-7) * 1000.0, name="close")
    tie = gf.floor(gf.exp(gf.log(x)), name="tie")
    plain = gf.exp(x, name="plain")
    subject = Subject([close, tie, plain])
    case = subject.case("given", {"x": [2.0, 3.0, 4.0]})
    program = subject.static(case)
    outside = subject.outside(program, case)
    one = np.float32([1.0, 1.0, 1.0])
    assert explained(program, outside, "close", distance(one, one + np.float32(1e-5)))
    assert not explained(program, outside, "plain", distance(one, one + np.float32(0.01)))
    assert not explained(program, outside, "plain", distance(one, one * np.float32(np.nan)))
    assert not explained(program, outside, "nothing", distance(one, one * 2))
    assert explained(program, outside, "tie", distance(one, one * 2))


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(GraphFlowError, match="no level"):
        hunt(1.0, levels=["O7"])
    with pytest.raises(GraphFlowError, match="no backend"):
        hunt(1.0, backends=["nunpy"])
    with pytest.raises(GraphFlowError, match="no backend"):
        hunt(1.0, backends=[])


def test_signs_of_zero_and_of_nan_and_subnormal_numbers_explain_what_hangs_on_them() -> None:
    x = gf.placeholder("x", (3,))
    angle = gf.atan2(x * 0.0, x * 0.0, name="angle")
    sign = gf.copysign(1.0, gf.sqrt(x), name="sign")
    small = gf.not_equal(x, 0.0, name="small")
    subject = Subject([angle, sign, small])
    case = subject.case("given", {"x": [1.0, -4.0, 1e-44]}, special=True)
    program = subject.static(case)
    outside = subject.outside(program, case)
    one = np.float32([1.0, 1.0, 1.0])
    assert explained(program, outside, "angle", distance(one, one + np.float32(3)))
    assert hangs_on_nan(program, outside, "sign") and not hangs_on_nan(program, outside, "angle")
    assert explained(program, outside, "small", distance(one > 0, one < 0))
