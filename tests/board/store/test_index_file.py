"""The index: reopening gives the same without reading; what is damaged or in use is not believed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.board.store import LogDirectory, index_file

pytest.importorskip("fcntl", reason="without file locks no index is kept")


@pytest.fixture
def logs(tmp_path):
    with gf.train.SummaryWriter(tmp_path / "logs" / "run") as writer:
        for step in range(50):
            writer.scalar("loss", np.nan if step == 7 else step, step)
        writer.text("note", "text", 3)
    return tmp_path / "logs"


def opened(logs, index) -> LogDirectory:
    return LogDirectory(logs, index=index, refresh=0)


def answers(log):
    curve = log.scalars("run", "loss")
    told = [replace(tag, changed=0) for tag in log.tags("run")]
    return (
        told,
        curve.step.tolist(),
        curve.wall.tolist(),
        repr(curve.value.tolist()),
        log.texts("run", "note"),
    )


def indexed(logs, index) -> Path:
    """Make an index; its folder."""
    with opened(logs, index) as log:
        log.refresh()
    [folder] = index.iterdir()
    return folder


def test_reopening_reads_no_event_file(logs, tmp_path, monkeypatch):
    with opened(logs, tmp_path / "index") as log:
        log.refresh()
        wanted = answers(log)
    with opened(logs, tmp_path / "index") as log:
        assert answers(log) == wanted
        monkeypatch.setattr("graphflow.board.store.runs.read_block", None)
        assert not log.refresh() and answers(log) == wanted


def test_it_goes_on_where_it_was(logs, tmp_path):
    indexed(logs, tmp_path / "index")
    with gf.train.SummaryWriter(logs / "run", purge_step=40) as writer:
        writer.scalar("loss", 1000, 40)
    for _ in range(2):
        with opened(logs, tmp_path / "index") as log:
            log.refresh()
            assert log.scalars("run", "loss").step.tolist() == list(range(41))
            assert log.scalars("run", "loss").value[-1] == 1000


def test_a_replaced_event_file_is_read_anew(logs, tmp_path):
    indexed(logs, tmp_path / "index")
    [place] = (logs / "run").glob("events*")
    place.unlink()
    with gf.train.SummaryWriter(logs / "run") as writer:
        writer.scalar("other", 1, 0)
    os.rename(writer.path, place)
    with opened(logs, tmp_path / "index") as log:
        log.refresh()
        assert [tag.name for tag in log.tags("run")] == ["other"]


@pytest.mark.parametrize(
    "damage", ["flip", "cut", "columns gone", "columns cut", "version", "empty", "other root"]
)
def test_a_damaged_index_is_not_believed(logs, tmp_path, damage):
    folder = indexed(logs, tmp_path / "index")
    place = folder / "index.json"
    [columns] = folder.glob("columns-*")
    data = place.read_bytes()
    if damage == "flip":
        place.write_bytes(data.replace(b'"loss"', b'"lost"'))
    elif damage == "cut":
        place.write_bytes(data[:-10])
    elif damage == "columns gone":
        columns.unlink()
    elif damage == "columns cut":
        columns.write_bytes(columns.read_bytes()[:-1])
    elif damage == "version":
        place.write_bytes(data.replace(b"-index 1 ", b"-index 2 "))
    elif damage == "empty":
        place.write_bytes(b"")
    else:
        os.rename(logs, tmp_path / "moved")
        logs = tmp_path / "moved"
    with opened(logs, tmp_path / "index") as log:
        assert log.runs() == []
        log.refresh()
        assert log.scalars("run", "loss").count == 50


def test_a_second_process_works_without_it(logs, tmp_path):
    with opened(logs, tmp_path / "index") as first, opened(logs, tmp_path / "index") as second:
        first.refresh()
        second.refresh()
        assert answers(first) == answers(second)
    with opened(logs, tmp_path / "index") as log:
        assert len(log.runs()) == 1


def test_where_nothing_can_be_written(logs, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with opened(logs, tmp_path / "file" / "index") as log:
        log.refresh()
        assert log.scalars("run", "loss").count == 50


def test_the_log_directory_stays_as_it_is(logs, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = sorted(path.name for path in logs.rglob("*"))
    with opened(logs, "cache") as log:
        log.refresh()
    assert sorted(path.name for path in logs.rglob("*")) == before
    [folder] = (tmp_path / "cache" / "graphflow" / "board").iterdir()
    assert folder.stat().st_mode & 0o077 == 0


def test_old_indexes_are_removed(logs, tmp_path):
    folder = indexed(logs, tmp_path / "index")
    for name, age in (("old", index_file.KEPT_SECONDS + 1000), ("young", 1000)):
        other = tmp_path / "index" / name
        other.mkdir()
        os.utime(other, (folder.stat().st_mtime - age,) * 2)
    indexed_again = opened(logs, tmp_path / "index")
    indexed_again.close()
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == sorted([folder.name, "young"])
