"""Bisection: planted miscompiles are found in large graphs and in loops, and shown by small ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, FeedError, FileFormatError
from tests.prove.planted import tanh_far_below, tanh_is_sin

ROOT = Path(__file__).resolve().parents[2]


def layers(x: gf.Tensor, depth: int) -> gf.Tensor:
    for number in range(depth):
        x = gf.sin(x * 1.0) * 0.9 + gf.exp(gf.negative(gf.negative(x))) * 1e-3
        if number % 5 == 0:
            x = x + gf.log(gf.nn.softmax(x)) * 0.01
    return x


def large() -> tuple[gf.Tensor, gf.Tensor]:
    x = gf.placeholder("x", ("batch", 8))
    h = layers(x, 30)
    wrong = gf.tanh((h + x) * x, name="culprit")
    return layers(wrong, 20), wrong


def test_the_edit_is_found_in_a_graph_of_hundreds_of_nodes(tmp_path: Path) -> None:
    y, wrong = large()
    assert len(y.graph.nodes) > 300
    found = gf.prove.bisect(y, gf.prove.generate(y), rules=[tanh_is_sin], folder=tmp_path)
    assert found.found and found.entry is not None and found.edits > 100
    assert (found.entry.rule, found.entry.pass_name, found.entry.removed) == (
        "tanh_is_sin", "canonicalize", ("culprit",),
    )  # fmt: skip
    assert found.origin == str(wrong.node.origin) and found.safety == "exact"
    assert found.runs < 14
    assert found.before[0].startswith("culprit = tanh(") and "= sin(" in found.after[0]
    assert found.minimal is not None and found.minimal.nodes == 4 and not found.minimal.whole
    text = str(found)
    assert "rule    tanh_is_sin in canonicalize, exact, assumed" in text and "wrote" in text
    json.dumps(found.to_dict())


def run_tests(folder: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_written_test_fails_with_the_rule_and_passes_without(tmp_path: Path) -> None:
    y, _ = large()
    found = gf.prove.bisect(y, gf.prove.generate(y), rules=[tanh_is_sin], folder=tmp_path)
    assert [Path(path).name for path in found.files] == ["test_tanh_is_sin.py", "tanh_is_sin.npz"]
    failed = run_tests(tmp_path)
    assert failed.returncode == 1 and "culprit = tanh" in failed.stdout and "1 failed" in failed.stdout
    path = Path(found.files[0])
    path.write_text(path.read_text().replace("RULES = [tanh_is_sin]", "RULES = []"))
    assert "1 passed" in run_tests(tmp_path).stdout


def test_a_rule_that_looks_beyond_its_pattern_gets_what_it_needs() -> None:
    x = gf.placeholder("x", (4,))
    y = layers(gf.tanh(gf.sin(gf.cos(gf.exp(layers(x, 5))))), 3)
    found = gf.prove.bisect(y, gf.prove.generate(y), rules=[tanh_far_below])
    assert found.entry is not None and found.entry.rule == "tanh_far_below"
    assert found.minimal is not None and 4 <= found.minimal.nodes <= 8 and "exp" in found.minimal.text


def nested(depth: int) -> gf.Tensor:
    x = gf.placeholder("x", ("time", 4))

    def step(c: gf.Tensor, z: gf.Tensor) -> tuple[gf.Tensor, gf.Tensor]:
        if depth == 2:
            new = gf.cond(gf.sum(z) > -100.0, lambda a: gf.tanh(a * z) + 1.0, lambda a: a * 1.0, c)
        else:
            new = gf.tanh(c * z, name="culprit") + 1.0
        return gf.sin(new * 1.0) + 0.5, layers(new, 3)

    _, rows = gf.scan(step, gf.ones(4), layers(x, 3))
    return rows


@pytest.mark.parametrize("depth", [1, 2])
def test_the_edit_is_found_inside_of_a_loop(depth: int, tmp_path: Path) -> None:
    y = nested(depth)
    found = gf.prove.bisect(y, gf.prove.generate(y), rules=[tanh_is_sin], folder=tmp_path)
    assert found.entry is not None and found.entry.rule == "tanh_is_sin"
    assert found.entry.removed[0].startswith("scan:body/") and found.entry.removed[0].count(":") == depth
    assert found.minimal is not None and found.minimal.nodes <= 6 and "= scan(" not in found.minimal.text
    assert "1 failed" in run_tests(tmp_path).stdout


def test_it_works_on_jax() -> None:
    x = gf.placeholder("x", ("batch", 4))
    y = gf.exp(gf.tanh(gf.sin(x * 1.0) * x) * 1.0)
    found = gf.prove.bisect(y, gf.prove.generate(y), backend="jax", rules=[tanh_is_sin])
    assert found.entry is not None and found.entry.rule == "tanh_is_sin" and found.minimal is not None


def test_a_right_optimizer_is_told_so() -> None:
    y, _ = large()
    found = gf.prove.bisect(y, gf.prove.generate(y), level="O3")
    assert not found.found and found.number == 0 and found.runs == 2
    assert "none of" in str(found) and found.to_dict()["found"] is False


def test_what_counts_as_a_change_can_be_chosen() -> None:
    x = gf.placeholder("x", (40, 20))
    y = gf.log(gf.nn.softmax(x))
    inputs = gf.prove.generate(y)
    assert not gf.prove.bisect(y, inputs).found
    found = gf.prove.bisect(y, inputs, exact=True)
    assert found.entry is not None and found.entry.rule == "log_of_softmax" and found.minimal is not None
    assert gf.prove.bisect(y, inputs, tolerance=0.0).found


def test_weights_constants_and_integers_survive_in_the_files(tmp_path: Path) -> None:
    x = gf.placeholder("x", ("batch", 12), dtype=gf.bfloat16)
    w = gf.variable("w", (12, 12))
    table = gf.constant(np.linspace(0.5, 1.5, 144, dtype=np.float32).reshape(12, 12))
    h = gf.matmul(gf.astype(x, gf.float32), w) * 3.0
    y = gf.exp(gf.tanh(gf.matmul(h, table) * h))
    found = gf.prove.bisect(y, gf.prove.generate(y), rules=[tanh_is_sin], folder=tmp_path)
    assert found.minimal is not None
    assert "1 failed" in run_tests(tmp_path).stdout


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    y, _ = large()
    inputs = gf.prove.generate(y)
    with pytest.raises(FeedError):
        gf.prove.bisect(y, {})
    with pytest.raises(AttributeValueError):
        gf.prove.bisect(y, inputs, level=3)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileFormatError):
        gf.prove.bisect(y, inputs, rules=[tanh_is_sin], folder=tmp_path / "file")


# Files of rules


def test_rules_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "my_rules.py"
    path.write_text((ROOT / "tests" / "prove" / "planted.py").read_text("utf-8"))
    rules = gf.prove.load_rules(path)
    assert [rule.name for rule in rules] == ["tanh_is_sin", "tanh_far_below"]
    y, _ = large()
    found = gf.prove.bisect(y, gf.prove.generate(y), rules=rules, folder=tmp_path / "found")
    assert f"RULES = gf.prove.load_rules({str(path)!r})" in Path(found.files[0]).read_text("utf-8")
    assert "1 failed" in run_tests(tmp_path / "found").stdout


@pytest.mark.parametrize(
    "text", ["1 +", "raise ValueError('no')", "RULES = []", "RULES = [3]", "import nothing_there"]
)
def test_files_without_rules_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.py"
    path.write_text(text)
    with pytest.raises(gf.GraphFlowError):
        gf.prove.load_rules(path)
    with pytest.raises(FileFormatError, match="is no Python file"):
        gf.prove.load_rules(tmp_path / "missing.py")
