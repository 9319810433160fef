"""`graphflow check`: the table, the exit status, inputs from files, and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.cli.conftest import Answer

Call = Callable[..., Answer]

WRONG = '''
from graphflow.optimizer.pattern import P, variables
from graphflow.optimizer.rule import rule

(X,) = variables("X")


@rule(P.exp(X), safety="exact")
def exp_is_sin(m, b):
    """exp(x) = sin(x), which is wrong."""
    return b.sin(m.X)
'''


def test_a_model_passes(call: Call, model: Path) -> None:
    status, out, err = call("check", model)
    assert (status, err) == (0, "")
    rows = [line.split() for line in out.splitlines() if line.startswith(("numpy", "jax"))]
    assert [row[:2] for row in rows] == [
        ["numpy", "O1"], ["numpy", "O2"], ["numpy", "O3"],
        ["jax", "O0"], ["jax", "O1"], ["jax", "O2"], ["jax", "O3"],
    ]  # fmt: skip
    assert all(row[-1] == "ok" for row in rows)


def test_a_wrong_rule_is_found_and_the_status_says_so(call: Call, model: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text(WRONG)
    np.savez(tmp_path / "x.npz", x=np.ones((2, 3), np.float32))
    given = ("--inputs", tmp_path / "x.npz", "--levels", "O1", "--backends", "numpy")
    assert call("check", model, *given).status == 0
    status, out, err = call("check", model, *given, "--rules", tmp_path / "rules.py")
    assert (status, err) == (1, "") and "head/exp = exp" in out and "rules at work there: exp_is_sin" in out


def test_json(call: Call, model: Path) -> None:
    status, out, _ = call("check", model, "--backends", "numpy", "--json", "--nan-guard", "--exact")
    told = json.loads(out)
    assert status == 0 and told["passed"] and [row["level"] for row in told["rows"]] == ["O1", "O2", "O3"]


def test_what_makes_no_sense_is_refused(call: Call, model: Path, tmp_path: Path) -> None:
    assert "there is no level 'O7'" in call("check", model, "--levels", "O7").err
    assert "did you mean 'numpy'" in call("check", model, "--backends", "nunpy").err
    assert "no.npz' cannot be read" in call("check", model, "--inputs", tmp_path / "no.npz").err
    status, _, err = call("check", model, "--inputs", "x=")
    assert status == 1 and "--inputs x= is not NAME=FILE" in err
    assert call("check", tmp_path / "none").status == 1
    assert "is no Python file" in call("check", model, "--rules", tmp_path / "none.py").err
