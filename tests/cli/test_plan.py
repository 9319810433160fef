"""`graphflow plan`: the report, JSON, and sizes that are missing or make no sense."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from graphflow.cli.options import read_sizes
from graphflow.errors import AttributeValueError
from tests.cli.conftest import Answer

Call = Callable[..., Answer]


def test_it_prints_the_plan(call: Call, model: Path) -> None:
    status, out, err = call("plan", model, "--size", "batch=32")
    assert (status, err) == (0, "")
    assert "lower bound" in out and "arena" in out


def test_json_grows_with_the_size(call: Call, model: Path) -> None:
    plans = [json.loads(call("plan", model, "--size", f"batch={n}", "--json").out) for n in (1, 1000)]
    assert plans[1]["output_bytes"] == 1000 * plans[0]["output_bytes"] == 1000 * 2 * 4
    assert all(plan["lower_bound_bytes"] <= plan["arena_bytes"] for plan in plans)


@pytest.mark.parametrize(
    ("sizes", "said", "hint"),
    [
        ([], "depends on its size batch", "--size batch=32"),
        (["b=1"], "the model has no size 'b'", "its sizes are batch"),
        (["batch"], "--size batch is not NAME=N", "--size batch=32"),
        (["batch="], "--size batch= is not NAME=N", "--size batch=32"),
        (["batch=-1"], "--size batch=-1 is not NAME=N", "--size batch=32"),
        (["batch=1.5"], "--size batch=1.5 is not NAME=N", "--size batch=32"),
        (["batch=²"], "--size batch=² is not NAME=N", "--size batch=32"),
        (["=3"], "--size =3 is not NAME=N", "--size batch=32"),
        (["batch=1", "batch=2"], "given twice, as 1 and 2", "give it once"),
        (["batch=99999999999999999999"], "larger than any array", "smaller"),
    ],
)
def test_sizes_that_make_no_sense(call: Call, model: Path, sizes: list[str], said: str, hint: str) -> None:
    options = [part for size in sizes for part in ("--size", size)]
    status, out, err = call("plan", model, *options)
    assert (status, out) == (1, "")
    assert said in err and hint in err


def test_sizes_are_read() -> None:
    assert read_sizes([]) == {}
    assert read_sizes(["a=0", "b=12", "a=0"]) == {"a": 0, "b": 12}
    with pytest.raises(AttributeValueError, match="not NAME=N"):
        read_sizes(["2a=1"])
