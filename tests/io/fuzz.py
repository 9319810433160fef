"""Damaged saved models and checkpoints: whatever is in them, loading gives a model or a GraphFlowError.

    python -m tests.io.fuzz --count 20000 --seed 0 [--kinds folder,file,checkpoint]

changes the golden files: bit by bit, in pieces, field by field; with and without a manifest that vouches for
the change, as a forger would; with links, folders and further files among them. What is loaded must run no
code, open nothing outside, and take no longer than `SLOWEST` seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import graphflow as gf
from graphflow.errors import GraphFlowError
from tests.io.golden_models import checkpointed

GOLDEN = Path(__file__).parent / "golden" / "version_1"
SLOWEST = 20
EXTREMES = (0, 1, -1, 2, 7, 2**31, -(2**63), 2**63 - 1, 2**64, 2**70, 1.5, True, None, "", "x", [], {}, [[]])
RUNS_CODE = (
    "exec",
    "compile",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "subprocess.Popen",
    "pickle.find_class",
)
NAMES = (
    "../evil",
    "/etc/passwd",
    "a/b",
    "..",
    ".",
    "",
    "C:evil",
    "manifest.json",
    "graph.gf",
    "\u202e",
    "a\0b",
)

Files = dict[str, bytes]


# Watching that nothing is run


_watching = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in RUNS_CODE:
        raise AssertionError(f"loading ran code: {event} {arguments!r:.200}")


@contextmanager
def watched() -> Iterator[None]:
    """In here, running code and taking too long are faults."""
    global _watching
    if not hasattr(sys, "_graphflow_fuzz_hook"):
        sys._graphflow_fuzz_hook = True
        sys.addaudithook(_watch)
    _watching = True
    signal.alarm(SLOWEST)
    try:
        yield
    finally:
        signal.alarm(0)
        _watching = False


# Changing


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Bytes, changed in some way."""
    data = bytearray(content)
    if not data:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(9)))
    place, size = rng.randrange(len(data)), rng.randrange(1, 12)
    way = rng.randrange(8)
    if way < 3:
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif way == 3:
        del data[place:]
    elif way == 4:
        del data[place : place + size]
    elif way == 5:
        data[place:place] = bytes(rng.randrange(256) for _ in range(size))
    elif way == 6:
        data[place:place] = data[max(place - 8 * size, 0) : place]
    else:
        data[place : place + 8] = rng.choice((0, 2**32, 2**63, 2**64 - 1)).to_bytes(8, "little")
    return bytes(data)


def changed_json(content: bytes, rng: random.Random) -> bytes:
    """JSON of which some values are others."""
    found = json.loads(content)
    for _ in range(rng.randrange(1, 3)):
        owner: Any = found
        while True:
            keys = list(owner) if isinstance(owner, dict) else list(range(len(owner)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(owner[key], (dict, list)) and rng.random() < 0.8:
                owner = owner[key]
                continue
            way = rng.randrange(5)
            if way == 0:
                del owner[key]
            elif way == 1 and isinstance(owner, dict):
                owner[rng.choice(NAMES)] = owner.pop(key)
            elif way == 2 and isinstance(owner, list):
                owner.append(owner[key])
            elif isinstance(owner[key], str) and rng.random() < 0.5:
                owner[key] = mutated(owner[key].encode(), rng).decode("latin-1")
            else:
                owner[key] = rng.choice(EXTREMES)
            break
    return json.dumps(found).encode()


def changed_header(content: bytes, rng: random.Random) -> bytes:
    """A safetensors file of which some fields of the header are others."""
    length = int.from_bytes(content[:8], "little")
    header = changed_json(content[8 : 8 + length], rng)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def changed(files: Files, rng: random.Random) -> Files:
    """Files, of which some are others."""
    made = dict(files)
    name = rng.choice(sorted(made))
    way = rng.randrange(10)
    if way == 0:
        del made[name]
    elif way == 1:
        made[rng.choice(("run.py", "x" * 120, ".hidden", name.upper()))] = b"import os"
    elif name.endswith(".json") and way < 7:
        made[name] = changed_json(made[name], rng)
    elif name.endswith(".safetensors") and way < 6:
        made[name] = changed_header(made[name], rng)
    else:
        made[name] = mutated(made[name], rng)
    if rng.random() < 0.6:
        vouch(made)
    return made


def vouch(files: Files) -> None:
    """Let the manifest tell the truth about the other files, if it can still be read."""
    try:
        manifest = json.loads(files["manifest.json"])
        entries = manifest.get("files") or {manifest["data"]["file"]: manifest["data"]}
        for name, entry in entries.items():
            if name in files:
                entry["bytes"], entry["sha256"] = len(files[name]), hashlib.sha256(files[name]).hexdigest()
        files["manifest.json"] = json.dumps(manifest).encode()
    except (ValueError, LookupError, TypeError, AttributeError):
        return


# Writing what came of it


def write_folder(place: Path, files: Files, rng: random.Random) -> None:
    """Write files into a new folder; now and then one of them is a link, a folder or a pipe."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    odd = rng.choice(sorted(files)) if files and rng.random() < 0.05 else None
    for name, content in files.items():
        if name != odd:
            (place / name).write_bytes(content)
            continue
        way = rng.randrange(4)
        if way == 0:
            (place / name).symlink_to("/dev/zero")
        elif way == 1:
            (place / name).symlink_to(GOLDEN / "model" / "graph.gf")
        elif way == 2:
            (place / name).mkdir()
        else:
            os.mkfifo(place / name)


def write_file(place: Path, files: Files, rng: random.Random) -> None:
    """Write files into a zip file; then, or in the writing, let something be wrong with it."""
    way = rng.randrange(8)
    with zipfile.ZipFile(place, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(
                rng.choice(NAMES).replace("\0", "\1") if way == 0 and rng.random() < 0.3 else name
            )
            if way == 1 and rng.random() < 0.5:
                info.compress_type = zipfile.ZIP_DEFLATED
            if way == 2 and rng.random() < 0.5:
                info.external_attr = 0o120777 << 16
            archive.NameToInfo.clear()  # so that it does not warn of names that are there twice
            archive.writestr(info, content)
        if way == 3:
            repeated = zipfile.ZipInfo(rng.choice(sorted(files) or ["x"]))
            archive.NameToInfo.clear()
            archive.writestr(repeated, b"again")
    if way >= 5:
        place.write_bytes(mutated(place.read_bytes(), rng))


# Loading


def originals(kind: str) -> Files:
    """The files that are changed."""
    folder = GOLDEN / ("checkpoint" if kind == "checkpoint" else "model")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def loader(kind: str, place: Path) -> Callable[[], Any]:
    """What loads what is at the place."""
    if kind != "checkpoint":
        return lambda: gf.saved_model.load(place)
    sess, data = checkpointed(None)
    return lambda: sess.restore_checkpoint(place, data)


def outcome(load: Callable[[], Any]) -> str:
    """ "loaded", or the class of the GraphFlowError; anything else that is raised is a fault."""
    with watched():
        try:
            load()
        except GraphFlowError as error:
            assert error.hint and len(str(error)) < 4000, str(error)
            return type(error).__name__
    return "loaded"


def fuzz(kind: str, count: int, seed: int, folder: Path) -> Counter[str]:
    """Load so many changed models or checkpoints, and count what came of them."""
    rng, files = random.Random(seed), originals(kind)
    place = folder / ("model.gfm" if kind == "file" else kind)
    write = write_file if kind == "file" else write_folder
    load = loader(kind, place)
    write_folder(folder / "warm", files, random.Random(0))
    loader(kind, folder / "warm")()  # what is imported at first use is imported now
    b"x".decode("cp437")
    counts: Counter[str] = Counter()
    for number in range(count):
        write(place, changed(files, rng), rng)
        try:
            counts[outcome(load)] += 1
        except BaseException:
            print(
                f"fault of {kind} number {number} of seed {seed}, which is left at {place}", file=sys.stderr
            )
            raise
    return counts


def main() -> int:
    """Fuzz each kind, and tell what came of it."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--kinds", default="folder,file,checkpoint")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="graphflow-fuzz-"))
    for kind in given.kinds.split(","):
        start = time.perf_counter()
        counts = fuzz(kind, given.count, given.seed, folder)
        print(f"{kind}: {dict(counts)} in {time.perf_counter() - start:.0f} s")
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
