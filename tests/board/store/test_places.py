"""Finding runs: nothing outside of the log directory is listed or opened."""

from __future__ import annotations

import os
import sys

import pytest

from graphflow.board.store import LogDirectory
from graphflow.board.store.places import find_runs, opened

NAME = "events.out.tfevents.1"


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "logs"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / NAME).write_bytes(b"inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / NAME).write_bytes(b"secret")
    return folder.resolve()


def test_runs_and_their_names(root):
    (root / NAME).write_bytes(b"")
    (root / "a" / "notes.txt").write_text("")
    runs, notices = find_runs(root)
    assert [(run.name, run.files) for run in runs] == [(".", (NAME,)), ("a/b", (f"a/b/{NAME}",))]
    assert notices == []


def test_links_out_of_the_folder_are_left_out(root):
    (root / "folder").symlink_to(root.parent / "outside")
    (root / "a" / NAME).symlink_to(root.parent / "outside" / NAME)
    (root / "up").symlink_to("..")
    (root / "gone").symlink_to("nowhere")
    runs, notices = find_runs(root)
    assert [run.name for run in runs] == ["a/b"]
    assert len(notices) == 3 and all("leads out" in notice for notice in notices)
    for place in ("folder/" + NAME, "a/" + NAME, "up/outside/" + NAME):
        with pytest.raises(OSError), opened(root, place):
            pass


def test_links_within_it_are_followed_once(root):
    (root / "again").symlink_to(root / "a")
    (root / "a" / "loop").symlink_to(root)
    (root / "c").mkdir()
    (root / "c" / NAME).symlink_to(root / "a" / "b" / NAME)
    runs, notices = find_runs(root)
    assert notices == [] and sorted(run.name for run in runs) == ["a/b", "c"]
    with opened(root, runs[1].files[0]) as file:
        assert file.read() == b"inside"


@pytest.mark.parametrize("place", ["/etc/passwd", "../outside/" + NAME, "a/../../outside/" + NAME, "", "a"])
def test_places_that_are_none(root, place):
    with pytest.raises(OSError), opened(root, place):
        pass


def test_a_folder_exchanged_for_a_link(root):
    runs, _ = find_runs(root)
    os.rename(root / "a" / "b", root / "a" / "c")
    (root / "a" / "b").symlink_to(root.parent / "outside")
    with pytest.raises(OSError), opened(root, runs[0].files[0]):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="pipes with names are of POSIX")
def test_pipes_do_not_hang(root):
    os.mkfifo(root / NAME)
    assert [run.name for run in find_runs(root)[0]] == ["a/b"]
    with pytest.raises(OSError, match="regular"), opened(root, NAME):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
def test_names_that_are_no_text(root):
    for name in (b"\xff", b"\xfe"):
        folder = os.path.join(os.fsencode(root), name)
        os.mkdir(folder)
        with open(os.path.join(folder, NAME.encode()), "wb"):
            pass
    names = [run.name for run in find_runs(root)[0]]
    assert names == ["a/b", "\ufffd", "\ufffd (2)"]
    with LogDirectory(root, index=None, refresh=0) as log:
        log.refresh()
        assert [run.name for run in log.runs()] == names
