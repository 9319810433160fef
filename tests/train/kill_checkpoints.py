"""Killing a process that saves checkpoints, at any moment, and looking at what it leaves.

    python -m tests.train.kill_checkpoints --kills 200

Each turn a child saves up to 200 checkpoints and says after each which is safe; it gets SIGKILL after a
random time. Then the newest checkpoint has to load, be whole, and be no older than the last that was said
to be safe. A second part kills at every single call that touches the disk, one child for each.

Children are forks of this process, in which nothing but NumPy runs, so that a turn takes milliseconds.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

import graphflow as gf

SAVES = 200
SIZE = 5000
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.scandir", "shutil.rmtree", "os.fsync")


def graph() -> gf.Graph:
    """Two variables that hold the step they were saved at, and counts up."""
    with gf.Graph("killed") as made:
        values = [gf.variable(name, (SIZE,), initializer=gf.initializers.zeros()) for name in ("a", "b")]
        gf.group(*[gf.assign(value, value + 1.0) for value in values])
    return made


def save_many(folder: Path, made: gf.Graph, wait: bool, say: Callable[[int], None]) -> None:
    """Save again and again, and say each step that is safe."""
    sess = gf.Session(made, backend="numpy")
    with gf.train.CheckpointManager(folder, sess, keep_last=2, keep_best=1, wait=wait) as checkpoints:
        before = checkpoints.restore().step if checkpoints.steps else 0
        for step in range(before + 1, before + SAVES + 1):
            value = np.full(SIZE, step, np.float32)
            sess.variables.update({"a": value, "b": value})
            sess.variables.step = step
            checkpoints.save({"loss": abs(step - 5.0)})
            say(step if wait else step - 1)


def single_slot(folder: Path, made: gf.Graph, wait: bool, say: Callable[[int], None]) -> None:
    """The same with sess.save_checkpoint, into one folder."""
    sess = gf.Session(made, backend="numpy")
    for step in range(1, SAVES + 1):
        value = np.full(SIZE, step, np.float32)
        sess.variables.update({"a": value, "b": value})
        sess.variables.step = step
        sess.save_checkpoint(folder / "slot")
        say(step)


def newest(folder: Path, made: gf.Graph) -> int:
    """The step of the newest checkpoint, once all of it is known to be of that step; 0 without one."""
    sess = gf.Session(made, backend="numpy")
    if (folder / "slot").exists():
        if not (folder / "slot" / "manifest.json").exists():
            return 0
        sess.restore_checkpoint(folder / "slot")
    else:
        checkpoints = gf.train.CheckpointManager(folder, sess)
        for step in checkpoints.steps:  # not the newest alone: whatever has a name has to be whole
            assert checkpoints.restore(step).step == step
            assert all((sess.variables[name] == step).all() for name in ("a", "b")), step
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    assert all((sess.variables[name] == sess.step).all() for name in ("a", "b")), sess.step
    return sess.step


def killed(act: Callable[[Callable[[int], None]], None], seconds: float | None) -> int:
    """Let a child act, kill it after so many seconds, and give the last step that it said was safe."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            act(lambda step: os.write(writer, step.to_bytes(4, "little")) and None)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writer)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    said = b""
    while piece := os.read(reader, 1 << 16):
        said += piece
    os.close(reader)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, "the child failed by itself"
    whole = len(said) // 4 * 4
    return int.from_bytes(said[whole - 4 : whole], "little")


Way = tuple[Callable[..., None], bool]
Pairs = Iterator[tuple[int, int]]

WAYS: Sequence[Way] = ((save_many, True), (save_many, False), (single_slot, True))


def at_random_moments(folder: Path, kills: int, rng: random.Random, longest: float) -> Pairs:
    """(said to be safe, found) for each kill."""
    made = graph()
    for number in range(kills):
        save, wait = WAYS[number % len(WAYS)]
        place = folder / f"run-{number}"
        said = killed(lambda say, f=save, p=place, w=wait: f(p, made, w, say), rng.uniform(0, longest))
        yield said, newest(place, made)


def at_every_call(folder: Path, saves: int, ways: Sequence[Way] = WAYS) -> Pairs:
    """The same, where the n-th call that touches the disk is the last, for each n until none is left."""
    made = graph()
    for way, (save, wait) in enumerate(ways):
        last = 0
        number = 0
        while last < saves:
            number += 1
            place = folder / f"call-{way}-{number}"

            def act(say: Callable[[int], None], f=save, p=place, w=wait, n=number) -> None:
                _die_at(n)
                f(p, made, w, say)

            said = killed(act, None)
            last = max(said, last)
            yield said, newest(place, made)


def _die_at(number: int) -> None:
    """Kill this process at its n-th call that touches the disk."""
    left = number

    def count(event: str) -> None:
        nonlocal left
        if event not in EVENTS:
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sync = os.fsync

    def counted(handle: int) -> None:
        count("os.fsync")
        sync(handle)

    os.fsync = counted  # it has no audit event of its own
    sys.addaudithook(lambda event, arguments: count(event))


def main() -> int:
    """Kill so many children, and tell how many of what they left was whole."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--longest", type=float, default=3.0, help="seconds until the last kill")
    options.add_argument("--saves", type=int, default=5, help="saves in which each call is the last once")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), random.Random(given.seed)
        for title, results in (
            (
                "at random moments",
                at_random_moments(folder, given.kills, rng, given.longest),
            ),
            ("at every call", at_every_call(folder, given.saves)),
        ):
            found = list(results)
            worse = [pair for pair in found if pair[1] < pair[0]]
            steps = [step for _, step in found]
            print(f"{title}: {len(found)} kills, newest {min(steps)} to {max(steps)}, {len(worse)} too old")
            if worse:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
