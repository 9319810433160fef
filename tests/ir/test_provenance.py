"""Origins: the user's line, found by skipping the package's own frames."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from graphflow.errors import AttributeValueError, GraphError
from graphflow.ir.opdef import registry
from graphflow.ir.provenance import Origin, capture, origin_at, warn
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


def test_frames_of_numpy_are_skipped() -> None:
    x = placeholder("x", (2,))
    with pytest.raises(GraphError) as caught:
        np.mean(x)  # which asks for an array in a file of NumPy's
    assert caught.value.origin is not None and caught.value.origin.file == __file__


def test_code_that_a_dataclass_writes_is_skipped_and_what_the_command_line_holds_is_not() -> None:
    from graphflow.optimizer.passes.canonicalize import Canonicalize

    with pytest.raises(AttributeValueError) as caught:
        Canonicalize(safety="exakt")
    assert "at test_provenance.py:" in str(caught.value)
    space: dict = {"capture": capture}
    exec(compile("found = capture(0)", "<string>", "exec"), space | {"__name__": "__main__"}, space)
    assert space["found"] == Origin("<string>", 1)


def test_a_warning_points_to_the_line_of_the_user() -> None:
    with pytest.warns(UserWarning, match="mind this") as caught:
        warn("mind this", UserWarning)
    assert caught[0].filename == __file__
