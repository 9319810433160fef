"""The simulator changes memory as the vendor's did, for every scene that was recorded.

Integers, copies and element-wise fp32 agree to the bit; sums of fp32 within the tolerance of their scene,
as the chip adds in an order of its own. With GRAPHFLOW_BM1684_CMODEL set, scenes with other numbers are
played on the vendor's simulator itself.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.simulator import Memory
from graphflow.runtime.bm1684.simulator.machine import _RUN, execute
from tests.runtime.bm1684 import vendor
from tests.runtime.bm1684.record_vectors import FAMILIES, FOLDER
from tests.runtime.bm1684.scene import Recorded, difference, gather, scatter, unpack

MOST_BYTES = 20 << 20


@cache
def memory() -> Memory:
    return Memory(1 << 20)


def replay(commands: list[isa.Command], window: np.ndarray, written: np.ndarray) -> np.ndarray:
    """The window after commands, of a memory in which only its written bytes may be read."""
    chip = memory()
    scatter(window, chip.local.data, chip.l2.data, chip.ddr.data)
    scatter(written.astype(np.uint8), chip.local.written, chip.l2.written, chip.ddr.written)
    for command in commands:
        execute(chip, command)
    return gather(chip.local.data, chip.l2.data, chip.ddr.data)


def recorded(family: str) -> dict[str, Recorded]:
    with np.load(FOLDER / f"{family}.npz") as arrays:
        names = list(dict.fromkeys(key.rsplit("/", 1)[0] for key in arrays.files))
        fields = {key.rsplit("/", 1)[1] for key in arrays.files}
        return {name: unpack({field: arrays[f"{name}/{field}"] for field in fields}) for name in names}


@pytest.mark.parametrize("family", FAMILIES)
def test_scenes_end_as_recorded(family: str) -> None:
    scenes = recorded(family)
    wrong = {}
    for name, scene in scenes.items():
        assert (scene.before != scene.after).any(), name
        after = replay(scene.commands, scene.before, scene.written)
        wrong[name] = difference(after, scene.after, scene.tolerance)
    assert scenes
    assert {name: told for name, told in wrong.items() if told} == {}


def test_every_kind_is_simulated_and_recorded() -> None:
    kinds = {
        type(command)
        for family in FAMILIES
        for scene in recorded(family).values()
        for command in scene.commands
    }
    assert kinds == set(_RUN) == {kind for kinds in isa.KINDS.values() for kind in kinds}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES


def test_the_constant_tables_are_the_firmware_s() -> None:
    from graphflow.runtime.bm1684.simulator.tables import TABLES

    with np.load(FOLDER / "tables.npz") as arrays:
        theirs = arrays["tables"]
    for offset, table in TABLES.items():
        assert theirs[offset : offset + table.nbytes].tobytes() == table.tobytes(), hex(offset)


@pytest.mark.slow
@pytest.mark.skipif(not vendor.LIBRARY, reason="GRAPHFLOW_BM1684_CMODEL names no library")
@pytest.mark.parametrize("family", FAMILIES)
def test_scenes_with_other_numbers_end_as_on_the_vendor_s_simulator(family: str) -> None:
    scenes = list(FAMILIES[family](np.random.default_rng(20)))
    for scene, after in zip(scenes, vendor.play(scenes)):
        ours = replay(scene.commands, scene.window, scene.written)
        assert difference(ours, after, scene.tolerance) == "", scene.name
