"""The container of the chip's programs: records of what a .bmodel holds, a writer, a reader and text."""

from graphflow.runtime.bm1684.bmodel.reader import is_bmodel, load, read
from graphflow.runtime.bm1684.bmodel.records import BModel, CommandGroup, Net, Stage, Storage, TensorInfo
from graphflow.runtime.bm1684.bmodel.text import difference, disassembly, summary
from graphflow.runtime.bm1684.bmodel.writer import save, write

__all__ = [
    "BModel",
    "CommandGroup",
    "Net",
    "Stage",
    "Storage",
    "TensorInfo",
    "difference",
    "disassembly",
    "is_bmodel",
    "load",
    "read",
    "save",
    "summary",
    "write",
]
