"""`graphflow explain`: the report, the story of one tensor, and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import graphflow as gf
from graphflow.optimizer.report_json import read_report
from tests.cli.conftest import Answer

Call = Callable[..., Answer]


def test_it_tells_what_was_simplified(call: Call, model: Path) -> None:
    status, out, err = call("explain", model)
    assert (status, err) == (0, "")
    assert "as built" in out and "after O2" in out and "neutral_element" in out


def test_the_level_counts(call: Call, model: Path) -> None:
    status, out, _ = call("explain", model, "--level", "O0")
    assert status == 0 and "after O0" in out and "no rule fired" in out


def test_json_has_every_edit(call: Call, model: Path) -> None:
    told = json.loads(call("explain", model, "--json").out)
    assert told["label"] == "O2" and told["after"]["nodes"] < told["before"]["nodes"]
    fired = sum(rule["fired"] for rule in told["rules"])
    assert fired == len(told["entries"]) > 0
    assert "neutral_element" in {entry["rule"] for entry in told["entries"]}


def test_the_story_of_a_tensor(call: Call, model: Path) -> None:
    status, out, _ = call("explain", model, "--tensor", "head/y")
    assert status == 0 and out.startswith("head/y ") and "head/exp" in out


def test_an_output_is_found_by_the_name_that_the_model_has_for_it(call: Call, tmp_path: Path) -> None:
    with gf.Graph():
        x = gf.placeholder("x", (3,))
        made = gf.Model(inputs=[x], outputs={"answer": gf.exp(x * 1.0, name="inner")})
    gf.saved_model.save(tmp_path / "model", made)
    status, out, err = call("explain", tmp_path / "model", "--tensor", "answer")
    assert (status, err) == (0, "") and out.startswith("inner ")


def test_an_unknown_tensor_gets_a_suggestion(call: Call, model: Path) -> None:
    status, out, err = call("explain", model, "--tensor", "head/expp")
    assert (status, out) == (1, "") and "did you mean 'head/exp'" in err


def test_a_story_is_not_told_in_json(call: Call, model: Path) -> None:
    assert call("explain", model, "--tensor", "head/y", "--json").status == 2


def test_json_to_a_file_can_be_read_again(call: Call, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "edits.json"
    status, out, _ = call("explain", model, "--json", path)
    assert status == 0 and str(path) in out
    assert read_report(path.read_text()).to_json() == path.read_text()
    assert read_report(path.read_text()).passes[0]["cost"] is not None


def test_passes_are_measured(call: Call, model: Path) -> None:
    out = call("explain", model).out
    assert "planned peak" in out and "ms" in out and "as before" in out


def test_rules_are_left_out_and_pipelines_given(call: Call, model: Path) -> None:
    assert "neutral_element" not in call("explain", model, "--exclude", "neutral_element").out
    out = call("explain", model, "-p", "canonicalize{safety=exact}").out
    assert "after canonicalize{safety=exact}" in out and "neutral_element" in out
    status, _, err = call("explain", model, "-p", "canonicalise")
    assert status == 1 and "did you mean 'canonicalize'" in err


def test_declines_differences_and_reasons(call: Call, model: Path) -> None:
    assert call("explain", model, "--missed", "canonicalize").out == "canonicalize declined nowhere\n"
    assert call("explain", model, "--missed").out == "nothing declined\n"
    status, _, err = call("explain", model, "--missed", "canonicalise")
    assert status == 1 and "did you mean 'canonicalize'" in err
    assert "multiply" in call("explain", model, "--diff", "canonicalize").out
    reason = call("explain", model, "--why-not", "log_of_softmax", "head/exp").out
    assert "is for log, but head/exp is exp" in reason


def test_a_backend_has_passes_and_loops_of_its_own(call: Call, model: Path) -> None:
    status, out, err = call("explain", model, "--backend", "numpy", "--size", "batch=3")
    assert (status, err) == (0, "") and "in place:" in out and "counted with batch = 3" in out
    assert "schedule" not in call("explain", model).out
    status, _, err = call("explain", model, "--backend", "cuda")
    assert status == 1 and "there is no backend 'cuda'" in err


def test_sizes_count(call: Call, model: Path) -> None:
    told = [json.loads(call("explain", model, "--size", f"batch={n}", "--json").out) for n in (1, 4)]
    assert told[1]["before"]["flops"] > told[0]["before"]["flops"]
    status, _, err = call("explain", model, "--size", "bat=4")
    assert status == 1 and "its sizes are batch" in err


def test_a_pass_is_drawn(call: Call, model: Path, tmp_path: Path) -> None:
    for name, start in (("pass.svg", "<?xml"), ("pass.html", "<!DOCTYPE html>")):
        status, out, _ = call("explain", model, "--diff", "canonicalize", "-o", tmp_path / name)
        assert status == 0 and out.strip().endswith(name)
        assert (tmp_path / name).read_text("utf-8").startswith(start)
    status, _, err = call("explain", model, "--diff", "canonicalize", "-o", tmp_path / "pass.png")
    assert status == 1 and ".svg" in err
    status, _, err = call("explain", model, "-o", tmp_path / "pass.svg")
    assert status == 1 and "-o is for --diff" in err
