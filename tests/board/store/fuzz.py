"""Damaged log directories: whatever is in their files, the store answers, or raises a GraphFlowError.

    python -m tests.board.store.fuzz --count 20000 --seed 0

changes small event files and side files: bit by bit, in pieces, and inside of messages with checksums
that are right again, so that what is behind the checksums is reached as well. Then it asks the store for
everything that is there.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

import graphflow as gf
from graphflow.board.store import LogDirectory
from graphflow.errors import GraphFlowError
from graphflow.train.event_encoding import record

SLOWEST_SECONDS = 20.0
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)


def samples() -> list[tuple[str, bytes]]:
    """The files that are changed, each by its name below a run."""
    with gf.Graph("net") as graph:
        x = gf.placeholder("x", ("n", 4))
        gf.sum(gf.log(gf.nn.softmax(x @ gf.variable("w", (4, 3)))))
    sess = gf.Session(graph, backend="numpy")
    fetch = graph.nodes[-1].outputs[0]
    found: list[tuple[str, bytes]] = []
    for kind in range(6):
        with tempfile.TemporaryDirectory() as folder:
            with gf.train.SummaryWriter(folder, purge_step=2 if kind == 5 else None) as writer:
                for step in range(4):
                    _log(writer, kind, step)
                if kind == 4:
                    writer.graph(graph)
                    writer.explain(sess.explain(fetch))
                    writer.profile(sess.profile(fetch, {x: np.ones((2, 4), np.float32)}))
                    writer.memory(sess.memory(fetch, sizes={"n": 2}))
            place = Path(writer.path)
            found.append((place.name, place.read_bytes()))
            found += [
                (f"graphflow/{one.name}", one.read_bytes())
                for one in sorted(place.parent.glob("graphflow/*"))
            ]
    return found


def _log(writer: gf.train.SummaryWriter, kind: int, step: int) -> None:
    if kind in (0, 5):
        writer.scalar("loss", 1 / (1 + step), step)
        writer.scalars("accuracy", {"train": step, "test": -step}, step)
    elif kind == 1:
        writer.histogram("weights", np.arange(5.0) ** step, step, buckets=4)
        writer.text("note", f"**{step}**", step)
    elif kind == 2:
        writer.image("image", np.full((2, 3, 3), step / 4), step)
    elif kind == 3:
        writer.pr_curve("pr", [1, 0, 1], [0.1, 0.5, 0.9], step, thresholds=5)
        if not step:
            writer.hparams({"rate": 0.1, "method": "adam", "fast": True}, ["loss"], name="group")


def mutated(content: bytes, rng: random.Random, is_events: bool) -> bytes:
    """The bytes, changed in some way."""
    data = bytearray(content)
    for _ in range(rng.randrange(1, 4)):
        if not data:
            break
        way = rng.randrange(12 if is_events else 6)
        place, size = rng.randrange(len(data)), rng.randrange(1, 16)
        if way == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif way == 1 and rng.random() < 0.3:
            del data[place:]
        elif way == 2:
            del data[place : place + size]
        elif way == 3:
            data[place:place] = bytes(rng.randrange(256) for _ in range(size))
        elif way == 4:
            data[place:place] = data[max(place - 8 * size, 0) : place]
        elif way == 5:
            data[place : place + size] = bytes([rng.choice(EXTREMES)]) * min(size, len(data) - place)
        elif is_events:
            data = bytearray(_changed_message(bytes(data), rng))
    return bytes(data)


def _changed_message(content: bytes, rng: random.Random) -> bytes:
    """An event file of which one message is another, with checksums that are right."""
    places, position = [], 0
    while position + 12 <= len(content):
        length = struct.unpack_from("<Q", content, position)[0]
        if length > len(content) - position - 16:
            break
        places.append((position, length))
        position += length + 16
    if not places:
        return content
    position, length = rng.choice(places)
    message = bytearray(content[position + 12 : position + 12 + length])
    for _ in range(rng.randrange(1, 3)):
        if message:
            place = rng.randrange(len(message))
            way = rng.randrange(4)
            if way == 0:
                message[place] = rng.choice(EXTREMES)
            elif way == 1:
                message[place] = (message[place] + rng.choice((1, -1, 8, -8))) % 256
            elif way == 2:
                del message[place : place + rng.randrange(1, 6)]
            else:
                message[place:place] = bytes(rng.choice(EXTREMES) for _ in range(rng.randrange(1, 11)))
    return content[:position] + record(bytes(message)) + content[position + 16 + length :]


def outcome(log: LogDirectory) -> str:
    """Ask for everything; "noticed" if something could not be read, else "read"."""
    log.refresh()
    noticed = bool(log.notices())
    for run in log.runs():
        for tag in log.tags(run.name):
            noticed |= not _asked(log, run.name, tag.name, tag.kind)
        for kind in ("graph", "journal", "memory", "profile"):
            try:
                log.side(run.name, kind)
            except GraphFlowError:
                noticed = True
    log.poll()
    noticed |= any(run.notices for run in log.runs())
    return "noticed" if noticed else "read"


def _asked(log: LogDirectory, run: str, name: str, kind: str) -> bool:
    try:
        if kind == "scalars":
            curve = log.scalars(run, name)
            log.scalars(run, name, 5)
            assert curve.step.size == curve.wall.size == curve.value.size == curve.count
        elif kind == "images":
            for image in log.images(run, name):
                log.image_file(run, name, image.index)
        elif kind in ("histograms", "text", "pr_curves"):
            getattr(log, {"text": "texts"}.get(kind, kind))(run, name)
        elif kind == "hparams":
            log.hparams(run)
        elif kind == "graph":
            log.graph(run)
    except GraphFlowError:
        return False
    return True


def hunt(count: int, seed: int) -> Counter[str]:
    """What came of so many changed files.

    Raises:
        AssertionError: for one that took too long; and whatever the store raises that is no GraphFlowError.
    """
    rng, found = random.Random(seed), samples()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        (run / "graphflow").mkdir(parents=True)
        name = "events.out.tfevents.0"
        for number in range(count):
            kind, content = rng.choice(found)
            changed = mutated(content, rng, "tfevents" in kind)
            for place in (*run.glob("events*"), *run.glob("graphflow/*")):
                place.unlink()
            (run / name).write_bytes(changed if "tfevents" in kind else found[0][1])
            if "tfevents" not in kind:
                (run / kind).write_bytes(changed)
            start = time.perf_counter()
            try:
                with LogDirectory(folder, index=None, refresh=0) as log:
                    counts[outcome(log)] += 1
            except BaseException:
                print(f"fault at number {number} of seed {seed}, in {kind}: {changed.hex()}")
                raise
            taken = time.perf_counter() - start
            assert taken < SLOWEST_SECONDS, f"number {number} of seed {seed} took {taken:.1f} s"
    return counts


def main() -> int:
    """Read so many changed files, and tell what came of them."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    warnings.simplefilter("error")
    start = time.perf_counter()
    print(dict(hunt(given.count, given.seed)), f"{time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
