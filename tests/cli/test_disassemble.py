"""`graphflow show`, `disassemble` and `diff` on .bmodel files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graphflow.cli import main
from graphflow.runtime.bm1684 import bmodel, isa


def written(path: Path, length: int) -> str:
    """A file with one copy of so many elements."""
    base = 0x1_0510_0000
    copy = isa.LinearCopy(id=1, source=base, destination=base + 4096, length=length)
    stage = bmodel.Stage(
        inputs=(bmodel.TensorInfo("x", "float32", (2, 3), base),),
        outputs=(bmodel.TensorInfo("y", "float32", (2, 3), base + 4096),),
        groups=(bmodel.CommandGroup(gdma=isa.encode(copy)),),
        context_address=base,
        context_bytes=8192,
    )
    bmodel.save(bmodel.BModel((bmodel.Net("net", (stage,)),)), path)
    return str(path)


def test_show_and_disassemble(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "net.bmodel", 6)
    assert main(["show", path]) == 0
    assert "input x float32[2, 3] at ddr+0x5100000" in capsys.readouterr().out
    assert main(["disassemble", path]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "net net, stage 0, group 0"
    assert "LinearCopy direction=system destination=ddr+0x5101000 source=ddr+0x5100000 length=6" in said
    assert main(["show", path, "--text"]) == 1
    assert "graphflow disassemble" in capsys.readouterr().err


def test_cycles_and_timelines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "net.bmodel", 1 << 10)
    monkeypatch.chdir(tmp_path)
    assert main(["disassemble", path, "--cycles"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("           214  gdma 1: LinearCopy")
    call = ["show", path, "--timeline", "t.svg", "--local-memory", "m.svg", "--from", "0.1", "--to", "0.3"]
    assert main(call) == 0
    said = capsys.readouterr().out
    assert "0.000 ms for 1 commands" in said and "LinearCopy system" in said
    assert "net, stage 0" in (tmp_path / "t.svg").read_text("utf-8")
    assert "bank 7" in (tmp_path / "m.svg").read_text("utf-8")
    assert main(["show", path, "--timeline", "t.json"]) == 0
    events = json.loads((tmp_path / "t.json").read_text("utf-8"))["traceEvents"]
    assert [event["name"] for event in events if event["ph"] == "X"] == ["LinearCopy"]
    capsys.readouterr()
    assert main(["show", path, "--timeline", "t.png"]) == 1
    assert "'t.png' is no .svg file" in capsys.readouterr().err and not (tmp_path / "t.png").exists()
    assert main(["show", path, "--timeline", "t.svg", "--stage", "1"]) == 1
    assert "there is no stage 1" in capsys.readouterr().err
    assert main(["show", path, "--timeline", "t.svg", "--from", "9", "--to", "9"]) == 1
    assert "shows nothing" in capsys.readouterr().err
    assert main(["show", str(tmp_path), "--timeline", "t.svg"]) == 1
    assert "--timeline is for .bmodel files" in capsys.readouterr().err
    assert main(["show", "nowhere.bmodel", "--timeline", "x.svg"]) == 1
    assert "and there is nothing at 'nowhere.bmodel'" in capsys.readouterr().err


def test_commands_on_graphs_say_what_the_file_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "net.bmodel", 6)
    assert main(["explain", path]) == 1
    assert "holds commands for the BM1684, not a graph" in capsys.readouterr().err


def test_diff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = written(tmp_path / "old.bmodel", 6), written(tmp_path / "new.bmodel", 5)
    assert main(["diff", old, old]) == 0
    assert capsys.readouterr().out == "the files hold the same\n"
    assert main(["diff", old, new]) == 1
    said = capsys.readouterr().out
    assert "length=6" in said and "length=5" in said
    assert main(["diff", old, new, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["same"] is False
    assert main(["diff", old, new, "--html", "x.html"]) == 2
    assert "for graphs" in capsys.readouterr().err


def test_a_damaged_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(written(tmp_path / "net.bmodel", 6))
    path.write_bytes(path.read_bytes()[:-4])
    assert main(["disassemble", str(path)]) == 1
    said = capsys.readouterr().err
    assert "net.bmodel" in said and "get it again" in said
    assert main(["disassemble", str(tmp_path / "none.bmodel")]) == 1
    assert "cannot be read" in capsys.readouterr().err
