"""`graphflow bisect`: the edit, the exit status, and the written test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Answer
from tests.cli.test_check import WRONG

Call = Callable[..., Answer]


@pytest.fixture
def fed(tmp_path: Path) -> Path:
    np.savez(tmp_path / "x.npz", x=np.ones((2, 3), np.float32))
    (tmp_path / "rules.py").write_text(WRONG)
    return tmp_path


def test_a_right_model_has_no_such_edit(call: Call, model: Path, fed: Path) -> None:
    status, out, err = call("bisect", model, "--input", fed / "x.npz")
    assert (status, err) == (0, "") and "none of 1 edits changes the answer (equal to the bit)" in out


def test_the_edit_is_found_and_written(call: Call, model: Path, fed: Path) -> None:
    status, out, err = call(
        "bisect", model, "--input", fed / "x.npz", "--rules", fed / "rules.py", "-o", fed / "found"
    )
    assert (status, err) == (1, "")
    assert "edit 1 of 2 changes the answer" in out and "rule    exp_is_sin in canonicalize" in out
    assert sorted(path.name for path in (fed / "found").iterdir()) == ["exp_is_sin.npz", "test_exp_is_sin.py"]


def test_json(call: Call, model: Path, fed: Path) -> None:
    given = ("--input", f"x={fed}/x.npz", "--rules", fed / "rules.py", "--json", "--level", "O1")
    told = json.loads(call("bisect", model, *given).out)
    assert told["rule"] == "exp_is_sin" and told["found"] and told["node"] == "head/exp"


def test_what_makes_no_sense_is_refused(call: Call, model: Path, fed: Path) -> None:
    assert call("bisect", model).status == 2
    assert call("bisect", model, "--input", fed / "x.npz", "--tolerance", "-1").status == 2
    status, _, err = call("bisect", model, "--input", f"y={fed}/x.npz")
    assert status == 1 and "has no array 'y'" in err
