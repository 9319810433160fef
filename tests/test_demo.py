"""The demo: what it prints, which files it leaves, and that it does not pass over a failure."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import graphflow as gf
from graphflow import demo

ROOT = Path(__file__).resolve().parent.parent
EPOCHS = 2
STEPS = EPOCHS * (1437 // demo.BATCH)

pytestmark = pytest.mark.slow


class Ran(NamedTuple):
    """A demo that has run: its folder, the accuracy it returned, and what it printed."""

    folder: Path
    accuracy: float
    printed: str


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder, printed = tmp_path_factory.mktemp("demo") / "out", io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))  # for the processes that reload the model
        with contextlib.redirect_stdout(printed):
            accuracy = demo.main(folder, epochs=EPOCHS)
        yield Ran(folder, accuracy, printed.getvalue())


def test_it_learns(ran: Ran) -> None:
    """The goal is asserted by the demo itself, with all its epochs; two bring it most of the way."""
    assert 0.85 < ran.accuracy <= 1.0
    assert f"held-out accuracy: {ran.accuracy:.2%} of 360 images" in ran.printed


def test_it_tells_what_it_did(ran: Ran) -> None:
    for said in (
        "1437 images to learn from, 360 held out",
        "after O2",
        "lower bound",
        "the probabilities are equal bit by bit",
        "numpy backend against jax backend",
        f"graphflow board {ran.folder / 'logs'}",
    ):
        assert said in ran.printed


def test_it_leaves_its_files(ran: Ran) -> None:
    names = {path.name for path in ran.folder.iterdir()}
    assert names == {
        "explain.json", "graph.svg", "graph_before.svg", "held_out.npy", "logs", "memory.json", "model",
        "reloaded_jax.npy", "reloaded_numpy.npy",
    }  # fmt: skip
    for name in ("graph.svg", "graph_before.svg"):
        assert ElementTree.parse(ran.folder / name).getroot().tag.endswith("svg")
    explained = json.loads((ran.folder / "explain.json").read_text())
    assert explained["after"]["nodes"] < explained["before"]["nodes"] and explained["entries"]
    planned = json.loads((ran.folder / "memory.json").read_text())
    assert planned["lower_bound_bytes"] <= planned["arena_bytes"] <= planned["naive_bytes"]


def test_the_saved_model_predicts_what_the_demo_reloaded(ran: Ran) -> None:
    images, data = np.load(ran.folder / "held_out.npy"), gf.data.digits()
    assert np.array_equal(images, data.test_images)
    answers = gf.saved_model.load(ran.folder / "model").run({"image": images})["probabilities"]
    assert answers.tobytes() == np.load(ran.folder / "reloaded_jax.npy").tobytes()
    assert np.abs(answers - np.load(ran.folder / "reloaded_numpy.npy")).max() <= demo.AGREEMENT
    assert (answers.argmax(1) == data.test_labels).mean() == pytest.approx(ran.accuracy)


def test_tensorboard_reads_the_curves(ran: Ran) -> None:
    events = EventAccumulator(str(ran.folder / "logs"), size_guidance={"scalars": 0})
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"train/loss", "train/accuracy", "held_out/accuracy"}
    losses = [event.value for event in events.Scalars("train/loss")]
    assert len(losses) == STEPS and np.mean(losses[-10:]) < np.mean(losses[:10])
    assert [event.step for event in events.Scalars("held_out/accuracy")] == [STEPS // 2, STEPS]
    assert events.Scalars("held_out/accuracy")[-1].value == pytest.approx(ran.accuracy)
    assert events.Tags()["graph"] is True


def test_a_net_that_has_not_learnt_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for step in ("fit", "report", "check_reload"):
        monkeypatch.setattr(demo, step, lambda *arguments: None)
    with pytest.raises(gf.GraphFlowError, match=r"below the 98\.5% that the demo promises"):
        demo.main(tmp_path / "out")
    assert demo.main(tmp_path / "out", epochs=demo.EPOCHS - 1) < demo.GOAL


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"jax": 1e-7}, r"differ by up to 1.0e-07 on the same backend"),
        ({"numpy": 1e-3}, r"differ by 1.0e-03, more than 1e-05"),
        ({"numpy": np.nan}, r"differ by nan"),
        ({}, None),
    ],
)
def test_another_answer_after_reloading_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: dict[str, float], said: str | None
) -> None:
    answers = np.zeros((2, 3))

    def reload(command: list[str], check: bool) -> None:
        folder, backend = command[-2:]
        np.save(f"{folder}/reloaded_{backend}.npy", answers + change.get(backend, 0.0))

    monkeypatch.setattr(subprocess, "run", reload)
    if said is None:
        demo.check_reload(tmp_path, np.zeros(1), answers)
        return
    with pytest.raises(gf.GraphFlowError, match=said):
        demo.check_reload(tmp_path, np.zeros(1), answers)
