"""Buffers in CSV files: what is read, what is written, and bad lines, each named by its number."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow.errors import FileFormatError, GraphFlowError
from graphflow.optimizer.memory import Buffer, allocate, read_buffers, write_offsets
from graphflow.optimizer.memory.table import parse_buffers
from graphflow.optimizer.memory.units import read_bytes

HEAD = "id,lower,upper,size"


def test_the_plain_form() -> None:
    text = f'\ufeff{HEAD}\r\nx, 0 ,2,10\r\n\r\n"y, z",+1,3,0\r\n'
    assert parse_buffers(text.lstrip("\ufeff")) == [Buffer("x", 0, 2, 10), Buffer("y, z", 1, 3, 0)]


def test_columns_in_any_order_and_optional_ones() -> None:
    text = "SIZE,id,address,upper,lower,alignment,space\n8,a,16,3,-2,8,local\n4,b,,1,0,,\n"
    assert parse_buffers(text) == [Buffer("a", -2, 3, 8, 8, "local", 16), Buffer("b", 0, 1, 4)]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    buffers = [
        Buffer("a", 0, 2, 8, 8),
        Buffer('q"\nx', 0, 3, 2**40, 1, "far"),
        Buffer("c", 1, 2, 0, 1, "main", 4),
    ]
    allocation = allocate(buffers)
    write_offsets(tmp_path / "placed.csv", buffers, allocation)
    assert read_buffers(tmp_path / "placed.csv") == buffers
    rows = (tmp_path / "placed.csv").read_text().splitlines()
    assert rows[0] == "id,lower,upper,size,alignment,space,address,offset" and rows[1] == "a,0,2,8,8,main,,0"
    write_offsets(tmp_path / "plain.csv", [Buffer("a", 0, 2, 8)], allocate([Buffer("a", 0, 2, 8)]))
    assert (tmp_path / "plain.csv").read_text() == f"{HEAD},offset\na,0,2,8,0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the column 'id' is missing in ''"),
        ("0,1,2,3\n", "line 1: the column 'id' is missing in '0,1,2,3'"),
        ("id,lower,upper\n", "line 1: the column 'size' is missing"),
        (f"{HEAD},colour\n", "line 1: the column 'colour' is unknown"),
        (f"{HEAD},size\n", "line 1: the column 'size' is unknown or there twice"),
        (f"{HEAD}\na,0,1\n", "line 2: 3 fields instead of 4"),
        (f"{HEAD}\na,0,1,4\nb,0,1,4,5\n", "line 3: 5 fields instead of 4"),
        (f"{HEAD}\na,0,,4\n", "line 2: the upper is missing"),
        (f"{HEAD}\n,0,1,4\n", "line 2: the id is missing"),
        (f"{HEAD}\na,0,1,4\n\nb,0,1.5,4\n", "line 4: the upper '1.5' is no whole number"),
        (f"{HEAD}\na,0,1,1_0\n", "line 2: the size '1_0' is no whole number"),
        (f"{HEAD}\na,0,1,٣\n", "line 2: the size '٣' is no whole number"),
        (f"{HEAD}\na,0,1,nan\n", "line 2: the size 'nan' is no whole number"),
        (f"{HEAD}\na,0,1,-4\n", "line 2: buffer 'a' has size -4"),
        (f"{HEAD}\na,3,1,4\n", "line 2: buffer 'a' dies at 1, before its birth at 3"),
        (f"{HEAD}\na,0,{10**25},4\n", "line 2: buffer 'a' has an instant or alignment above"),
        (f"{HEAD}\na,0,1,4\na,1,2,4\n", "line 3: the id 'a' was given on line 2 already"),
        (f"{HEAD},alignment\na,0,1,4,0\n", "line 2: .* alignment 0"),
        (
            f"{HEAD},address\na,0,2,4,0\nb,1,3,4,2\n",
            r"'a \(line 2\)' at \[0, 4\) and 'b \(line 3\)' at \[2, 6\) overlap",
        ),
        (f'{HEAD}\n"a,0,1,4\n', "line 2: unexpected end of data"),
    ],
)
def test_bad_lines_are_named(text: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message) as caught:
        parse_buffers(text)
    assert caught.value.hint


def test_offsets_of_an_earlier_answer_are_checked_and_left_open() -> None:
    buffers = parse_buffers(f"{HEAD},offset\na,0,2,10,0\nb,1,3,10,10\nc,0,9,5,\n")
    assert [buffer.address for buffer in buffers] == [None, None, None]
    with pytest.raises(FileFormatError, match=r"a \(line 2\).*b \(line 3\).* overlap while both are live"):
        parse_buffers(f"{HEAD},offset\na,0,2,10,0\nb,1,3,10,9\n")
    with pytest.raises(FileFormatError, match="line 3: the offset 'x' is no whole number"):
        parse_buffers(f"{HEAD},offset\na,0,2,10,0\nb,1,3,10,x\n")
    with pytest.raises(FileFormatError, match="line 2: buffer 'a' has the offset -1"):
        parse_buffers(f"{HEAD},offset\na,0,2,10,-1\n")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="cannot be read: No such file"):
        read_buffers(tmp_path / "nothing.csv")
    with pytest.raises(FileFormatError, match="cannot be read: Is a directory"):
        read_buffers(tmp_path)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(FileFormatError, match="no text in UTF-8"):
        read_buffers(tmp_path / "binary.csv")


@given(
    st.one_of(
        st.text(max_size=60), st.text('idlower,upsz0123456789-\n"', max_size=60).map(f"{HEAD}\n".__add__)
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        buffers = parse_buffers(text)
    except GraphFlowError:
        return
    assert len({buffer.id for buffer in buffers}) == len(buffers)


def test_bytes_as_people_write_them() -> None:
    written = ["0", "1048576", "64MB", "64 mib", "1.5k", "0.1KB", "2TiB", "7b"]
    assert [read_bytes(text) for text in written] == [0, 2**20, 64 * 10**6, 2**26, 1500, 100, 2**41, 7]
    for text in ("", "MB", "-1", "1e6", "1 ZB", "1,5MB", "٣"):
        with pytest.raises(GraphFlowError, match="no number of bytes"):
            read_bytes(text)
