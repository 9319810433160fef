"""`graphflow fuzz`: what it prints, its exit status, and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.cli.conftest import Answer

Call = Callable[..., Answer]


def test_it_tells_how_many_graphs_it_looked_at(call: Call) -> None:
    status, out, err = call("fuzz", "--graphs", 2, "--seed", 4, "--backends", "numpy")
    assert (status, err) == (0, "") and out.startswith("seed 4: 2 graphs (2 on numpy)")


def test_json(call: Call) -> None:
    options = ("--graphs", 1, "--seed", 4, "--backends", "numpy", "--levels", "O2", "--json")
    told = json.loads(call("fuzz", *options).out)
    assert told["passed"] and told["graphs"] == 1 and told["findings"] == [] and told["operators"]


@pytest.mark.parametrize(
    "wrong", [("--seconds", "0"), ("--seconds", "x"), ("--graphs", "0"), ("--seed", "-1")]
)
def test_wrong_options(call: Call, wrong: tuple[str, str]) -> None:
    assert call("fuzz", *wrong).status == 2


def test_an_unknown_backend_gets_a_suggestion(call: Call) -> None:
    status, _, err = call("fuzz", "--backends", "nunpy", "--graphs", 1)
    assert status == 1 and "did you mean 'numpy'" in err
