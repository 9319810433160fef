"""What the golden files in tests/io/golden hold, and how those of a new format version are made.

    python -m tests.io.golden_models FOLDER

writes them into a new folder, never over those of a version that has been given out: they have to be read
for ever. `version_1` was written by the first version of both formats.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import graphflow as gf
from graphflow.ir.dtypes import DTYPES, NARROW

CALIBRATION = {"method": "kl", "ranges": {"hidden": [-0.1, 3.5]}}
EXPORTS = {"net.bin": b"\x00\x01commands"}
SIZE = 6
STEPS = 3


def arrays() -> dict[str, np.ndarray]:
    """An array of each dtype, of a scalar, and of nothing."""
    made: dict[str, np.ndarray] = {}
    with np.errstate(all="ignore"):
        for dtype in DTYPES:
            made[dtype.name] = np.array([0, 1, 1, 0, 1, 0]).astype(dtype.numpy).reshape(2, 3)
        for dtype in ("float16", "bfloat16", "float32", "float64", "complex64"):
            made[dtype] = np.array([0.0, -0.0, 1 / 3, np.nan, np.inf, -np.inf]).astype(made[dtype].dtype)
    for dtype in NARROW:
        made[dtype.name] = np.array([0, 1, 0, 1, 1]).astype(dtype.numpy)
    made["scalar"] = np.array(2.5, np.float32)
    made["nothing"] = np.zeros((0, 3), np.int64)
    return made


def model() -> gf.Model:
    """Two functions over the same weights, and all those arrays as a third."""
    with gf.Graph("golden") as graph:
        x = gf.placeholder("x", ("batch", 3))
        w = gf.variable("layer/w", (3, 2), initializer=np.arange(6, dtype=np.float32).reshape(3, 2) / 7)
        table = gf.constant(np.linspace(0, 1, 100, dtype=np.float32), name="table")
        hidden = gf.matmul(x, w, name="hidden")
        y = gf.nn.softmax(hidden)
        total = gf.sum(table) + gf.sum(hidden)
        stored = {name: gf.variable(f"all/{name}", initializer=array) for name, array in arrays().items()}
    return gf.Model(
        graph,
        signatures={
            "serve": ([x], {"y": y}),
            "score": ([x], {"total": total}),
            "arrays": ([], {name: gf.identity(tensor) for name, tensor in stored.items()}),
        },
    )


def checkpointed(folder: Path | None) -> tuple[gf.Session, gf.data.Batches]:
    """A session after three steps of Adam, saved to a folder, and its data; not trained without one."""
    with gf.Graph("golden"):
        x = gf.placeholder("x", (None, 2))
        w = gf.variable("w", (2,), initializer=gf.initializers.uniform(-1.0, 1.0))
        train = gf.train.Adam(0.1).minimize(gf.sum((gf.sum(x * w, axis=-1) - 1.0) ** 2))
        sess = gf.Session(backend="numpy", seed=7)
    data = gf.data.Batches([np.arange(12, dtype=np.float32).reshape(SIZE, 2) / 12], 2, seed=5)
    if folder is not None:
        for _, (rows,) in zip(range(STEPS - 1), data):
            sess.run(train, {x: rows})
        sess.run(train, {x: np.ones((1, 2), np.float32)})
        sess.save_checkpoint(folder, data)
    return sess, data


def main() -> None:
    """Write the golden files of this version."""
    folder = Path(sys.argv[1])
    folder.mkdir()
    made = model()
    for name in ("model", "model.gfm"):
        gf.saved_model.save(folder / name, made, exports=EXPORTS, calibration=CALIBRATION)
    sess, _ = checkpointed(folder / "checkpoint")
    np.save(folder / "w.npy", sess.variables["w"])


if __name__ == "__main__":
    main()
