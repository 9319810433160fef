"""Folders of checkpoints: which are kept, what a killed process leaves, and what a full disk does."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, FileFormatError, SessionError
from graphflow.session import checkpoint
from tests.train import kill_checkpoints

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sess() -> Iterator[gf.Session]:
    with gf.Graph() as graph:
        gf.variable("w", (2,), initializer=gf.initializers.zeros())
    with gf.Session(graph, backend="numpy") as made:
        yield made


def at(sess: gf.Session, step: int) -> gf.Session:
    """The session at a step, with a variable that tells so."""
    sess.variables["w"] = [float(step)] * 2
    sess.variables.step = step
    return sess


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("wait", [True, False])
def test_the_last_and_the_best_are_kept(tmp_path: Path, sess: gf.Session, wait: bool) -> None:
    losses = [5.0, 1.0, 4.0, 2.0, float("nan"), 3.0, 2.0]
    with gf.train.CheckpointManager(tmp_path, sess, keep_last=2, keep_best=2, wait=wait) as checkpoints:
        for step, loss in enumerate(losses):
            at(sess, step)
            checkpoints.save({"loss": np.float32(loss)})
        assert checkpoints.steps == [1, 5, 6] and checkpoints.best == 1
        assert checkpoints.restore("best").metrics == {"loss": 1.0} and sess.variables["w"][0] == 1
        assert checkpoints.restore().step == 6 == sess.step
        assert checkpoints.restore(5).step == 5 and repr(checkpoints).endswith("steps [1, 5, 6]>")
    assert names(tmp_path) == ["step-1", "step-5", "step-6"]
    assert names(tmp_path / "step-1") == ["manifest.json", "variables.safetensors"]


def test_the_greatest_is_best(tmp_path: Path, sess: gf.Session) -> None:
    options = {"keep_last": 1, "keep_best": 1, "metric": "accuracy", "mode": "max", "wait": True}
    checkpoints = gf.train.CheckpointManager(tmp_path, sess, **options)
    for step, accuracy in enumerate([0.1, 0.9, 0.9, 0.5]):
        at(sess, step)
        checkpoints.save({"accuracy": accuracy})
    assert checkpoints.steps == [2, 3] and checkpoints.best == 2  # the later of two equals
    again = gf.train.CheckpointManager(tmp_path, at(sess, 4), **options)
    again.save()
    assert again.steps == [2, 4] and again.best == 2


def test_all_are_kept(tmp_path: Path, sess: gf.Session) -> None:
    with gf.train.CheckpointManager(tmp_path / "a" / "b", sess, keep_last=None) as checkpoints:
        for step in range(12):
            at(sess, step)
            checkpoints.save()
        assert checkpoints.steps == list(range(12)) and checkpoints.best is None
        with pytest.raises(FileFormatError, match=r"none of the checkpoints in .* has the metric 'loss'"):
            checkpoints.restore("best")


def test_a_step_again_replaces_it(tmp_path: Path, sess: gf.Session) -> None:
    with gf.train.CheckpointManager(tmp_path, sess) as checkpoints:
        for value in (1.0, 2.0):
            sess.variables["w"] = [value, value]
            checkpoints.save()
        sess.variables["w"] = [0.0, 0.0]
        checkpoints.restore()
    assert sess.variables["w"].tolist() == [2.0, 2.0] and names(tmp_path) == ["step-0"]


def test_nothing_to_restore(tmp_path: Path, sess: gf.Session) -> None:
    checkpoints = gf.train.CheckpointManager(tmp_path, sess)
    with pytest.raises(FileFormatError, match="there is no checkpoint in") as caught:
        checkpoints.restore()
    assert caught.value.hint == "save one first"
    checkpoints.save()
    with pytest.raises(FileFormatError, match="of step 3") as caught:
        checkpoints.restore(3)
    assert "[0]" in (caught.value.hint or "")
    with pytest.raises(FileFormatError, match="is no checkpoint") as caught:
        sess.restore_checkpoint(tmp_path)
    assert "step-" in (caught.value.hint or "")
    sess.restore_checkpoint(tmp_path / "step-0")


def test_the_position_of_the_data_comes_along(tmp_path: Path, sess: gf.Session) -> None:
    data = gf.data.Batches([np.arange(10)], 3)
    with gf.train.CheckpointManager(tmp_path, sess, data) as checkpoints:
        expected = []
        for number, (rows,) in enumerate(data):
            expected.append(rows.tolist())
            if number == 1:
                checkpoints.save()
    other = gf.data.Batches([np.arange(10)], 3)
    gf.train.CheckpointManager(tmp_path, sess, other).restore()
    assert [rows.tolist() for (rows,) in other] == expected[2:] and other.epoch == 1


@pytest.mark.parametrize(
    "options",
    [{"keep_last": 0}, {"keep_last": 1.5}, {"keep_best": -1}, {"keep_best": True}, {"mode": "best"}],
)
def test_arguments_that_make_no_sense(tmp_path: Path, sess: gf.Session, options: dict) -> None:
    with pytest.raises(AttributeValueError) as caught:
        gf.train.CheckpointManager(tmp_path, sess, **options)
    assert caught.value.hint


@pytest.mark.parametrize("metrics", [3, {"loss": "low"}, {1: 2.0}, {"loss": [1.0, 2.0]}, [("loss", 1.0)]])
def test_metrics_that_are_none(tmp_path: Path, sess: gf.Session, metrics: object) -> None:
    checkpoints = gf.train.CheckpointManager(tmp_path, sess)
    with pytest.raises(AttributeValueError, match="metrics"):
        checkpoints.save(metrics)
    assert names(tmp_path) == []


# Writing beside the training


def test_what_is_saved_is_of_the_moment_and_one_copy_waits_at_most(
    tmp_path: Path, sess: gf.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, original = threading.Event(), checkpoint.write_new
    copies = []

    def slow(state: checkpoint.State, folder: Path) -> None:
        assert release.wait(20)
        original(state, folder)

    def counted(*arguments: object, made: object = checkpoint.state_of) -> checkpoint.State:
        copies.append(threading.active_count())
        return made(*arguments)

    monkeypatch.setattr(checkpoint, "write_new", slow)
    monkeypatch.setattr(checkpoint, "state_of", counted)
    checkpoints = gf.train.CheckpointManager(tmp_path, at(sess, 1))
    checkpoints.save()
    at(sess, 2)  # the thread has not begun to write, and is not to see this
    second = threading.Thread(target=checkpoints.save)
    second.start()
    second.join(0.2)
    assert second.is_alive() and len(copies) == 1 and names(tmp_path) == []
    release.set()
    second.join(20)
    checkpoints.close()
    assert len(copies) == 2 and names(tmp_path) == ["step-1", "step-2"]
    assert checkpoints.restore(1).step == 1 and sess.variables["w"].tolist() == [1.0, 1.0]


def test_a_failure_is_raised_at_the_next_call_and_at_close(
    tmp_path: Path, sess: gf.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = gf.train.CheckpointManager(tmp_path, at(sess, 1))
    checkpoints.save()
    checkpoints.wait()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _full)
        at(sess, 2)
        checkpoints.save()
        for act in (checkpoints.save, checkpoints.wait, lambda: checkpoints.steps, checkpoints.close):
            if checkpoints._writer is None:
                checkpoints.save()
            with pytest.raises(FileFormatError, match="cannot be written: No space left on device"):
                act()
    assert names(tmp_path) == ["step-1"] and checkpoints.restore().step == 1
    with pytest.raises(SessionError, match="is closed"):
        checkpoints.save()


def test_an_error_of_the_training_is_not_hidden(
    tmp_path: Path, sess: gf.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", _full)
    with (
        pytest.raises(ZeroDivisionError) as caught,
        gf.train.CheckpointManager(tmp_path, sess) as checkpoints,
    ):
        checkpoints.save()
        raise ZeroDivisionError
    assert "No space left" in caught.value.__notes__[0]


def _full(*arguments: object) -> None:
    raise OSError(28, "No space left on device")


# Killed, full and forbidden


@pytest.mark.skipif(not hasattr(os, "fork"), reason="killing needs os.fork")
def test_a_killed_process_leaves_a_whole_newest_checkpoint(tmp_path: Path) -> None:
    """In a process of its own, as jax has threads here; --kills of the script goes on for longer."""
    command = [sys.executable, "-m", "tests.train.kill_checkpoints", "--kills", "9", "--longest", "0.7"]
    done = subprocess.run(
        [*command, "--saves", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" 0 too old") == 2, done.stdout


def test_the_judge_of_kills_finds_what_is_not_whole(tmp_path: Path) -> None:
    made = kill_checkpoints.graph()
    sess = gf.Session(made, backend="numpy")
    sess.variables.step = 3
    sess.variables.update(
        {"a": np.full(kill_checkpoints.SIZE, 3.0), "b": np.full(kill_checkpoints.SIZE, 2.0)}
    )
    sess.save_checkpoint(tmp_path / "slot")
    with pytest.raises(AssertionError):
        kill_checkpoints.newest(tmp_path, made)


FULL = """
import resource, sys, numpy as np, graphflow as gf
with gf.Graph() as graph:
    gf.variable("w", (50_000,), initializer=gf.initializers.zeros())
sess = gf.Session(graph, backend="numpy")
checkpoints = gf.train.CheckpointManager(sys.argv[1] + "/many", sess)
checkpoints.save()
sess.save_checkpoint(sys.argv[1] + "/one")
model = gf.Model(graph, outputs=graph.variables)
gf.saved_model.save(sys.argv[1] + "/model", model)
gf.saved_model.save(sys.argv[1] + "/model.gfm", model)
checkpoints.wait()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sess.variables["w"] = np.ones(50_000, np.float32)
sess.variables.step = 1
checkpoints.save()
for act in (
    checkpoints.close,
    lambda: sess.save_checkpoint(sys.argv[1] + "/one"),
    lambda: gf.saved_model.save(sys.argv[1] + "/model", model),
    lambda: gf.saved_model.save(sys.argv[1] + "/model.gfm", model),
):
    try:
        act()
    except gf.FileFormatError as error:
        print(error.message, "|", error.hint)
"""


def test_a_full_disk_leaves_the_old_one_whole_and_says_so(tmp_path: Path, sess: gf.Session) -> None:
    """A limit on the size of files, under which a write ends half-way with an error, as on a full disk."""
    pytest.importorskip("resource")
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 4, done.stderr
    for line in lines:
        assert "cannot be written: File too large" in line and "untouched" in line
    assert names(tmp_path) == ["many", "model", "model.gfm", "one"] and names(tmp_path / "many") == ["step-0"]
    assert len(names(tmp_path / "one")) == 2
    with gf.Graph() as graph:
        gf.variable("w", (50_000,), initializer=gf.initializers.ones())
    with gf.Session(graph, backend="numpy") as made:
        for folder in ("one", "many/step-0"):
            made.restore_checkpoint(tmp_path / folder)
            assert not made.variables["w"].any() and made.step == 0
            made.variables["w"] = np.ones(50_000, np.float32)
    for name in ("model", "model.gfm"):
        assert not gf.saved_model.load(tmp_path / name).weights["w"].any()


def test_a_lost_permission_leaves_the_old_one_whole_and_says_so(sess: gf.Session) -> None:
    """As somebody else than root, whom permissions do not bind."""
    if not hasattr(os, "geteuid"):
        pytest.skip("this system has no users as POSIX has them")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        checkpoints = gf.train.CheckpointManager(folder / "many", at(sess, 1))
        checkpoints.save()
        checkpoints.wait()
        sess.save_checkpoint(folder / "one")
        for path in (folder / "many", folder / "one"):
            path.chmod(0o555)
        at(sess, 2)
        with _nobody():
            checkpoints.save()
            for act in (checkpoints.wait, lambda: sess.save_checkpoint(folder / "one")):
                with pytest.raises(FileFormatError, match="cannot be written: Permission denied"):
                    act()
            for act in (checkpoints.restore, lambda: sess.restore_checkpoint(folder / "one")):
                act()
                assert sess.variables["w"].tolist() == [1.0, 1.0]
                at(sess, 2)
        for path in (folder / "many", folder / "one"):
            path.chmod(0o755)


class _nobody:
    """In here this process has the rights of a user without any, if it can give up its own."""

    def __enter__(self) -> None:
        self.root = os.geteuid() == 0
        if self.root:
            os.seteuid(65534)

    def __exit__(self, *exception: object) -> None:
        if self.root:
            os.seteuid(0)


def test_what_killed_writers_left_is_removed(tmp_path: Path, sess: gf.Session) -> None:
    (tmp_path / ".step-4.0123456789abcdef.tmp").mkdir()
    (tmp_path / ".step-4.0123456789abcdef.tmp" / "variables.safetensors").write_text("half")
    for kept in (".step-4.tmp", "notes.txt", "step-04", "step-x", ".other.0123456789abcdef.tmp"):
        (tmp_path / kept).write_text("precious")
    checkpoints = gf.train.CheckpointManager(tmp_path, sess)
    assert checkpoints.steps == []
    assert names(tmp_path) == [".other.0123456789abcdef.tmp", ".step-4.tmp", "notes.txt", "step-04", "step-x"]


def test_a_folder_that_is_in_the_way(tmp_path: Path, sess: gf.Session) -> None:
    (tmp_path / "step-0").mkdir()
    (tmp_path / "step-0" / "thesis.txt").write_text("precious")
    checkpoints = gf.train.CheckpointManager(tmp_path, sess, wait=True)
    with pytest.raises(FileFormatError, match="is no checkpoint"):
        checkpoints.save()
    assert names(tmp_path / "step-0") == ["thesis.txt"]
    (tmp_path / "file").write_text("")
    with pytest.raises(FileFormatError, match="cannot be written"):
        gf.train.CheckpointManager(tmp_path / "file", sess)
