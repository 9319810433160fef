"""Files go to bytes and back, and damaged or foreign ones are refused by name."""

from __future__ import annotations

import contextlib
import random
import struct
from pathlib import Path

import pytest

from graphflow.errors import AttributeValueError, FileFormatError
from graphflow.runtime.bm1684 import bmodel, isa
from graphflow.runtime.bm1684.bmodel.reader import _Table
from graphflow.runtime.bm1684.bmodel.writer import HEADER

BASE = 0x1_0510_0000


def commands(count: int) -> bytes:
    copies = (
        isa.LinearCopy(id=index, source=BASE, destination=BASE + 4096, length=64)
        for index in range(1, count + 1)
    )
    return isa.encode_stream(copies)


def example(batches: tuple[int, ...] = (1, 4)) -> bmodel.BModel:
    """A net with one stage a batch size; the stages share their coefficients."""
    weights = bytes(range(256)) * 20
    add = isa.Arithmetic(
        operation=isa.Operation.ADD,
        id=1,
        wait=1,
        result=isa.Operand(0x0800_0000),
        left=isa.Operand(0x0800_0000),
        right=isa.Constant.of(2.0),
        shape=isa.Shape(1, 64, 1, 1),
    )
    stages = [
        bmodel.Stage(
            inputs=(bmodel.TensorInfo("x", "int8", (batch, 3, 5), BASE + 8192, bmodel.Storage.FOURS, 0.5),),
            outputs=(bmodel.TensorInfo("y", "float32", (batch, 2), BASE + 16384),),
            groups=(bmodel.CommandGroup(isa.encode(add), commands(batch)), bmodel.CommandGroup()),
            context_address=BASE + 8192,
            context_bytes=1 << 20,
            coefficients=weights,
        )
        for batch in batches
    ]
    return bmodel.BModel((bmodel.Net("digits", tuple(stages)),))


def test_a_file_comes_back_byte_for_byte(tmp_path: Path) -> None:
    model = example()
    data = bmodel.write(model)
    assert bmodel.read(data) == model
    assert bmodel.write(bmodel.read(data)) == data
    path = tmp_path / "net.bmodel"
    bmodel.save(model, path)
    assert path.read_bytes() == data
    assert bmodel.load(path) == model
    assert bmodel.is_bmodel(path)
    assert not bmodel.is_bmodel(tmp_path) and not bmodel.is_bmodel(tmp_path / "none")


def test_stages_share_equal_binaries() -> None:
    one, two = (len(bmodel.write(example(batches))) for batches in ((1,), (1, 1)))
    assert two - one < 1000


def test_sizes_in_ddr_count_whole_words() -> None:
    assert bmodel.TensorInfo("x", "int8", (5, 3), BASE, bmodel.Storage.FOURS).bytes == 24
    assert bmodel.TensorInfo("x", "int16", (3, 3), BASE, bmodel.Storage.PAIRS).bytes == 24
    assert bmodel.TensorInfo("x", "float32", (), BASE).bytes == 4
    assert bmodel.TensorInfo("x", "float32", (2, 0), BASE).bytes == 0


def test_every_damage_is_noticed() -> None:
    """Flipped bits, cuts, and runs of zeros or noise: each a designed error."""
    data = bmodel.write(example((1,)))
    generator = random.Random(1684)
    for _ in range(400):
        broken = bytearray(data)
        at = generator.randrange(len(data))
        way = generator.randrange(4)
        if way == 0:
            broken[at] ^= 1 << generator.randrange(8)
        elif way == 1:
            del broken[at:]
        elif way == 2:
            length = min(generator.randrange(1, 40), len(data) - at)
            broken[at : at + length] = generator.randbytes(length)
        else:
            at = generator.randrange(HEADER.size, HEADER.size + 900)
            broken[at] ^= 1 << generator.randrange(8)
        if bytes(broken) == data:
            continue
        with pytest.raises(FileFormatError):
            bmodel.read(bytes(broken))


def test_a_wrong_checksum_of_coefficients_is_noticed_without_a_seal() -> None:
    """As in files of other writers, which note the time where ours have a checksum."""
    data = bytearray(bmodel.write(example((1,))))
    start = data.index(b"sha256:")
    struct.pack_into("<I", data, start - 4, 10)
    assert bmodel.read(bytes(data)).time == "sha256:" + data[start + 7 : start + 10].decode()
    data[data.index(bytes(range(256))) + 3] ^= 1
    with pytest.raises(FileFormatError, match="checksum of its coefficients is wrong"):
        bmodel.read(bytes(data))


def test_damage_without_a_seal_is_refused_or_read_but_never_crashes() -> None:
    """Files of other writers have no checksum of the whole file."""
    data = bytearray(bmodel.write(example((1,))))
    struct.pack_into("<I", data, data.index(b"sha256:") - 4, 10)
    generator = random.Random(4)
    for _ in range(600):
        broken = bytearray(data)
        for _ in range(generator.randrange(1, 4)):
            at = generator.randrange(HEADER.size, HEADER.size + 900)
            broken[at] = generator.randrange(256)
        with contextlib.suppress(FileFormatError):
            assert str(bmodel.read(bytes(broken))).startswith("bmodel for BM1684")


def test_tables_that_point_at_one_another_come_to_an_end() -> None:
    """A budget of visits is shared by all tables that are reached from one."""
    table = _Table(struct.pack("<HHi", 4, 4, 4), 4, iter(range(3)))
    with pytest.raises(struct.error, match="point at one another"):
        for _ in range(3):
            _Table(table.data, table.at, table.visits)


def test_other_chips_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AttributeValueError, match="BM1684X"):
        bmodel.write(bmodel.BModel(example().nets, chip="BM1684X"))
    data = bmodel.write(example((1,)))
    start = data.index(b"sha256:")
    foreign = bytearray(data.replace(b"BM1684\0", b"BM1880\0"))
    struct.pack_into("<I", foreign, start - 4, 10)
    with pytest.raises(FileFormatError, match="for the chip 'BM1880', not BM1684"):
        bmodel.read(bytes(foreign))
    with pytest.raises(FileFormatError, match=r"no \.bmodel"):
        bmodel.read(b"PK\3\4" + bytes(100))
    with pytest.raises(FileFormatError, match="cannot be read"):
        bmodel.load(tmp_path / "missing.bmodel")
    (tmp_path / "cut.bmodel").write_bytes(data[:-1])
    with pytest.raises(FileFormatError, match=r"cut.bmodel.*cut or lengthened|header says"):
        bmodel.load(tmp_path / "cut.bmodel")


def test_what_cannot_be_written_is_refused() -> None:
    half = bmodel.Stage((), (), (bmodel.CommandGroup(bytes(100)),), BASE, 0)
    with pytest.raises(AttributeValueError, match="100 bytes is not"):
        bmodel.write(bmodel.BModel((bmodel.Net("n", (half,)),)))
    odd = bmodel.Stage((bmodel.TensorInfo("x", "bfloat16", (1,), BASE),), (), (), BASE, 0)
    with pytest.raises(AttributeValueError, match="bfloat16"):
        bmodel.write(bmodel.BModel((bmodel.Net("n", (odd,)),)))


def test_text_names_commands_and_differences() -> None:
    model = example()
    assert "input x int8[4, 3, 5] at ddr+0x5102000 in fours scale 0.5" in str(model)
    lines = list(bmodel.disassembly(model))
    assert lines[0] == "net digits, stage 0, group 0"
    assert (
        lines[1].startswith("  tiu 1 after gdma 1: Arithmetic operation=add") or "operation=add" in lines[1]
    )
    assert len([line for line in lines if "LinearCopy" in line]) == 5
    assert bmodel.difference(model, example()) == []
    told = bmodel.difference(example((4,)), example((1,)))
    assert any("LinearCopy" in line and line.startswith("  -") for line in told)
    assert "- " + "  group 0: 1 tiu and 4 gdma commands" in told
