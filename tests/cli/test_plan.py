"""`graphflow plan`: the report, JSON, and sizes that are missing or make no sense."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
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


TABLE = "id,lower,upper,size\na,0,2,10\nb,1,3,5\nc,2,4,10\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    place = tmp_path / "buffers.csv"
    place.write_text(TABLE)
    return place


def test_a_table_is_planned_written_and_drawn(call: Call, table: Path) -> None:
    output, drawn = table.with_name("placed.csv"), table.with_name("placed.svg")
    status, out, err = call(
        "plan", table, "--capacity", "1kB", "--output", output, "--picture", drawn, "--seconds", 1
    )
    assert (status, err) == (0, "")
    heading, row, note, checked, *wrote = out.splitlines()
    assert heading.split() == [
        "space",
        "buffers",
        "naive",
        "sum",
        "lower",
        "bound",
        "arena",
        "gap",
        "seconds",
    ]
    assert row.split()[:7] == ["main", "3", "25", "15", "15", "0.00", "%"]
    assert "most is live at instant 1; the capacity of 1,000 bytes is kept; no smaller arena exists" in note
    assert checked.startswith("checked: 3 buffers")
    assert wrote == [f"wrote {output}", f"wrote {drawn}"]
    assert output.read_text() == "id,lower,upper,size,offset\na,0,2,10,0\nb,1,3,5,10\nc,2,4,10,0\n"
    assert drawn.read_text().startswith("<?xml")


def test_a_table_as_json(call: Call, table: Path) -> None:
    status, out, err = call("plan", table, "--json", "--output", table.with_name("placed.csv"))
    assert status == 0 and "wrote" in err
    (space,) = json.loads(out)["spaces"]
    assert (space["naive_bytes"], space["arena_bytes"], space["is_smallest"]) == (25, 15, True)


def test_a_capacity_that_is_too_small(call: Call, table: Path) -> None:
    status, out, err = call("plan", table, "--capacity", 12)
    assert (status, out) == (1, "")
    assert "needs 15 bytes, but its capacity is 12, 3 bytes less; most is live at instant 1" in err
    assert "a 10 B, b 5 B" in err


def test_a_bad_line_is_named(call: Call, table: Path) -> None:
    table.write_text(TABLE + "d,4,9,-1\n")
    status, out, err = call("plan", table)
    assert (status, out) == (1, "") and "line 5: buffer 'd' has size -1" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--capacity", "much"], "'much' is no number of bytes"),
        (["--seconds", "-1"], "'-1' is no number of seconds"),
        (["--seconds", "nan"], "'nan' is no number of seconds"),
        (["--size", "batch=2"], "--size is for models"),
    ],
)
def test_options_that_make_no_sense(call: Call, table: Path, options: list[str], said: str) -> None:
    status, out, err = call("plan", table, *options)
    assert status in (1, 2) and out == "" and said in err


def test_a_model_takes_no_capacity(call: Call, model: Path) -> None:
    assert "--capacity is for .csv files" in call("plan", model, "--capacity", "1MB").err


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with values that do not lie in one another's place."""
    with gf.Graph("wide") as graph:
        x = gf.placeholder("x", ("batch", 100))
        y = gf.sum(gf.exp(x) * gf.sum(gf.tanh(x) @ np.ones((100, 100), np.float32)), axis=1)
    return gf.saved_model.save(tmp_path_factory.mktemp("plan") / "wide", gf.Model(graph, [x], {"y": y}))


def test_a_model_is_drawn_and_fitted(call: Call, wide: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "memory.svg"
    status, out, err = call("plan", wide, "--size", "batch=1000", "--fit", "80 kB", "--picture", drawn)
    assert (status, err) == (0, "")
    assert "checked: " in out and "smaller batch" in out and f"wrote {drawn}" in out
    assert drawn.read_text("utf-8").startswith("<?xml") and "peak at" in drawn.read_text("utf-8")
    batch = out.partition("batch=")[2].split()[0]
    again = call("plan", wide, "--size", f"batch={batch}", "--fit", "80 kB")
    assert again.status == 0 and "is within 80.0 kB as it is" in again.out


def test_fits_as_json(call: Call, wide: Path) -> None:
    data = json.loads(call("plan", wide, "--size", "batch=1000", "--fit", "80kB", "--json").out)
    assert data["fit"]["budget_bytes"] == 80_000 and data["fit"]["is_possible"] is True
    assert data["certificate"].startswith("checked")


def test_an_impossible_budget_names_the_least(call: Call, wide: Path) -> None:
    status, out, err = call("plan", wide, "--size", "batch=4", "--fit", 1)
    assert status == 1 and "the least that was found is" in out
    assert "the budget of 1 B is below the least that was found" in err and "there have to be" in err


def test_backends_and_precisions(call: Call, model: Path) -> None:
    pytest.importorskip("jax")
    assert "jax says: " in call("plan", model, "--size", "batch=8", "--backend", "jax").out
    assert call("plan", model, "--size", "batch=8", "--precision", "bfloat16").status == 0
    assert "there is no backend 'tpu'" in call("plan", model, "--size", "batch=8", "--backend", "tpu").err


@pytest.mark.parametrize("option", ["--fit", "--memory-budget"])
def test_budgets_are_for_models(call: Call, table: Path, model: Path, option: str) -> None:
    assert f"{option} is for models" in call("plan", table, option, "1MB").err
    assert "'x' is no number of bytes" in call("plan", model, "--size", "batch=1", option, "x").err
