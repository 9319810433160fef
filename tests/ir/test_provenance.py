"""Origins: the user's line, found by skipping the package's own frames."""

from __future__ import annotations

import sys

from graphflow.ir.opdef import registry
from graphflow.ir.provenance import Origin, capture, origin_at
from graphflow.ops.declare import placeholder


def _line() -> int:
    return sys._getframe(1).f_lineno


def test_capture_finds_this_file() -> None:
    found, line = capture(0), _line()
    assert (found.file, found.line) == (__file__, line)


def test_frames_of_the_package_are_skipped() -> None:
    x, line = placeholder("x", (2,)), _line()
    assert x.node.origin == Origin(__file__, line)
    y, line = registry["add"](x, 1.0), _line()
    assert y.node.origin is origin_at(__file__, line)
    assert y.node.inputs[1].node.origin.line == line, "the constant that the call makes has its line"


def test_code_without_a_file_has_an_origin_too() -> None:
    space: dict = {"exp": registry["exp"], "x": placeholder("x", (2,))}
    exec(compile("\n\ny = exp(x)", "<cell 3>", "exec"), space)
    assert space["y"].node.origin == Origin("<cell 3>", 3)


def test_origins_are_shared_and_short() -> None:
    assert origin_at("/a/b.py", 3) is origin_at("/a/b.py", 3)
    assert str(Origin("/a/b.py", 3)) == "b.py:3" and str(Origin("m.onnx", 0, "Conv_1")) == "m.onnx (Conv_1)"
