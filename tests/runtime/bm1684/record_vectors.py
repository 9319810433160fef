"""Records what the vendor's simulator makes of every scene: `python -m tests.runtime.bm1684.record_vectors`.

The library is found by GRAPHFLOW_BM1684_CMODEL; see docs/bm1684.md. What is written holds words, inputs
and outputs, and nothing of the library.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.runtime.bm1684 import scenes_elementwise, scenes_products, scenes_transfer, vendor
from tests.runtime.bm1684.scene import Scene, pack

FOLDER = Path(__file__).resolve().parent / "vectors"
FAMILIES = {
    f"{name}_{family}": scenes
    for name, module in (
        ("elementwise", scenes_elementwise),
        ("products", scenes_products),
        ("transfer", scenes_transfer),
    )
    for family, scenes in module.FAMILIES.items()
}


def scenes_of(family: str) -> Iterator[Scene]:
    """The scenes of a family; their numbers are always the same."""
    return FAMILIES[family](np.random.default_rng(zlib.crc32(family.encode())))


def main() -> None:
    """Write the vectors of all families."""
    if not vendor.LIBRARY:
        raise SystemExit("GRAPHFLOW_BM1684_CMODEL names no library: make vendor-simulator says how to set it")
    FOLDER.mkdir(exist_ok=True)
    for family in FAMILIES:
        scenes = list(scenes_of(family))
        arrays = {}
        for scene, after in zip(scenes, vendor.play(scenes)):
            packed = pack(scene, after).items()
            arrays |= {f"{scene.name}/{name}": array for name, array in packed}
        path = FOLDER / f"{family}.npz"
        np.savez_compressed(path, **arrays)
        print(f"{path.name}: {len(scenes)} scenes, {path.stat().st_size} bytes")
    np.savez_compressed(FOLDER / "tables.npz", tables=vendor.tables())


if __name__ == "__main__":
    main()
