"""Commands go to words and back without loss, and what is no command is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.errors import AttributeValueError, FileFormatError
from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.isa import fields, parts, words

KINDS = [kind for kinds in isa.KINDS.values() for kind in kinds]
WIDTHS = {"tiu": {f.name: f.width for f in fields.TIU}, "gdma": {f.name: f.width for f in fields.GDMA}}
NUMBER = st.integers(0, 2**32 - 1)


def bits(kind: Any, name: str) -> st.SearchStrategy[int]:
    """Values of a field of a kind."""
    return st.integers(0, (1 << WIDTHS[kind.ENGINE][name]) - 1)


def value(kind: Any, codec: parts.Codec) -> st.SearchStrategy[Any]:
    """Values of the attribute that a codec writes."""
    if isinstance(codec, parts.OperandCodec | parts.FourthCodec | parts.ResultCodec):
        return operand(kind, codec)
    if isinstance(codec, parts.Choice):
        allowed = kind.KEY.get(codec.names[0])
        return st.sampled_from([m for m in codec.kind if allowed is None or m in allowed])
    if isinstance(codec, parts.Tuple):
        return st.builds(codec.read, *[bits(kind, name) for name in codec.names])
    if isinstance(codec, parts.Wide):
        return st.integers(0, 2**40 - 1)
    if isinstance(codec, parts.Flag):
        return st.booleans()
    if codec.names[0] in kind.KEY:
        return st.sampled_from(kind.KEY[codec.names[0]])
    return bits(kind, codec.names[0])


def operand(kind: Any, codec: parts.Codec) -> st.SearchStrategy[Any]:
    if isinstance(codec, parts.FourthCodec):
        return st.one_of(NUMBER.map(isa.Operand), NUMBER.map(isa.Constant))
    precision, sign = st.sampled_from(isa.Precision), st.booleans()
    stride = st.integers(0, 2**19 - 1)
    strides = st.none() | st.builds(isa.Shape, stride, stride, NUMBER, NUMBER)
    if isinstance(codec, parts.ResultCodec):
        return st.builds(isa.Operand, NUMBER, precision, st.just(True), strides)
    tensors, constants = (
        st.builds(isa.Operand, NUMBER, precision, sign, strides),
        st.builds(isa.Constant, NUMBER, precision, sign),
    )
    told = kind.KEY.get(codec.names[-6] if not isinstance(codec, parts.BiasCodec) else "")
    choices = [tensors] if told == (0,) else [constants] if told == (1,) else [tensors, constants]
    return st.one_of(*choices, *([st.none()] if isinstance(codec, parts.BiasCodec) else []))


@pytest.mark.parametrize("table", [fields.TIU, fields.GDMA])
def test_fields_cover_every_bit_once(table: tuple[fields.BitField, ...]) -> None:
    at = 0
    for field in table:
        assert field.first == at, field
        at += field.width
    assert at == 1024
    assert len({field.name for field in table}) == len(table)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_goes_to_words_and_back(kind: Any) -> None:
    @settings(max_examples=12, deadline=None)
    @given(st.fixed_dictionaries({name: value(kind, codec) for name, codec in kind.CODECS}))
    def check(attributes: dict[str, Any]) -> None:
        made = kind(**attributes)
        data = isa.encode(made)
        assert isa.decode(kind.ENGINE, data) == made
        assert isa.encode(isa.decode(kind.ENGINE, data)) == data
        assert isa.disassemble(made).startswith(f"{kind.ENGINE} {made.id}")

    check()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_decoding_loses_no_bit(kind: Any) -> None:
    """Also bits for which a kind has no use come back."""
    table = fields.TIU if kind.ENGINE == "tiu" else fields.GDMA
    small = {f.name: st.integers(0, (1 << f.width) - 1) for f in table}
    small |= {name: st.sampled_from(allowed) for name, allowed in kind.KEY.items()}
    small |= {f.name: st.integers(0, 3) for f in table if "precision" in f.name or "format" in f.name}

    @settings(max_examples=12, deadline=None)
    @given(st.fixed_dictionaries(small))
    def check(values: dict[str, int]) -> None:
        data = words.pack(table, values)
        made = isa.decode(kind.ENGINE, data)
        assert isa.encode(made) == data
        assert isa.decode(kind.ENGINE, isa.encode(made)) == made

    check()


def test_words_lie_where_the_chip_reads_them() -> None:
    """Against words written down by hand from the layout: id, wait, task, operation and an address."""
    made = isa.Copy(
        id=3,
        wait=2,
        result=isa.Operand(0x0800_0080),
        source=isa.Constant.of(1.0),
        shape=isa.Shape(1, 64, 2, 3),
    )
    data = isa.encode(made)
    number = int.from_bytes(data, "little")
    assert number & 0b101 == 0b101
    assert number >> 3 & 0xFFFF == 3 and number >> 19 & 0xFFFF == 2
    assert number >> 37 & 15 == 3 and number >> 41 & 31 == 19
    assert number >> 214 & 0xFFF == 64
    assert int.from_bytes(data[72:76], "little") == 0x0800_0080
    assert int.from_bytes(data[76:80], "little") == 0x3F80_0000


def test_listing_names_what_differs() -> None:
    made = isa.MaximumPool(
        id=4,
        wait=9,
        result=isa.Operand(0x0804_0000),
        input=isa.Operand(0x0800_0000),
        result_shape=isa.Shape(1, 64, 28, 28),
        input_shape=isa.Shape(1, 64, 56, 56),
        kernel=isa.Window(3, 3),
        step=isa.Window(2, 2),
        pads=isa.Pads(1, 0, 1, 0),
    )
    assert isa.disassemble(made) == (
        "tiu 4 after gdma 9: MaximumPool result=lane0+0x40000:f32 input=lane0+0x0:f32 "
        "result_shape=1x64x28x28 input_shape=1x64x56x56 pads=1,0,1,0 kernel=3,3 step=2,2"
    )


def test_what_does_not_fit_is_refused() -> None:
    made = isa.LinearCopy(source=0, destination=0, length=1)
    with pytest.raises(AttributeValueError, match="id = 65536 does not fit in its 16 bits"):
        isa.encode(dataclasses.replace(made, id=65_536))
    with pytest.raises(AttributeValueError, match="no field 'speed'"):
        words.pack(fields.GDMA, {"speed": 1})
    with pytest.raises(AttributeValueError, match="Fill has no function 5"):
        isa.encode(isa.Fill(destination=0, destination_shape=isa.Shape(), value=0, others=(("function", 5),)))
    result = isa.Operand(0, signed=False)
    with pytest.raises(AttributeValueError, match="no sign of its own"):
        isa.encode(isa.Copy(result=result, source=isa.Operand(0), shape=isa.Shape()))


def test_what_is_no_command_is_refused() -> None:
    with pytest.raises(FileFormatError, match="has 128 bytes, not 127"):
        isa.decode("tiu", bytes(127))
    with pytest.raises(FileFormatError, match="task 7, operation 3 is none that is known"):
        isa.decode("tiu", words.pack(fields.TIU, {"task": 7, "operation": 3}))
    damaged = words.pack(fields.TIU, {"task": 3, "operation": 2, "precision0": 6})
    with pytest.raises(FileFormatError, match="command 1 of the tiu stream: 6 is no precision"):
        good = isa.encode(isa.Copy(result=isa.Operand(0), source=isa.Operand(0), shape=isa.Shape()))
        list(isa.decode_stream("tiu", good + damaged))
