"""Progress bars: the items pass through unchanged; the bar shows figures, or nothing where nobody looks."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf


def test_items_pass_through(capsys: pytest.CaptureFixture[str]) -> None:
    bar = gf.progress([3, 1, 2])
    assert len(bar) == 3 and list(bar) == [3, 1, 2]
    assert capsys.readouterr() == ("", "")  # standard error is no terminal here


def test_an_iterator_without_a_length_will_do() -> None:
    assert list(gf.progress(iter("ab"), hidden=False)) == ["a", "b"]


def test_it_draws_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    bar = gf.progress(range(2), "training", unit="epoch", hidden=False)
    for _ in bar:
        bar.show(loss=np.float32(0.123456), held_out=1, note="warm-up", curve=[1, 2])
    out, err = capsys.readouterr()
    assert out == ""
    last = err.rpartition("\r")[2]
    assert last.startswith("training: 100%") and "2/2" in last and "epoch" in last
    assert (
        "loss=0.1235" in last and "held_out=1" in last and "note=warm-up" in last and "curve=[1, 2]" in last
    )


def test_a_hidden_bar_takes_figures_too(capsys: pytest.CaptureFixture[str]) -> None:
    bar = gf.progress([1], hidden=True)
    for _ in bar:
        bar.show(loss=float("nan"))
    assert capsys.readouterr() == ("", "")


def test_what_the_loop_raises_comes_out() -> None:
    with pytest.raises(ZeroDivisionError):
        for item in gf.progress([0], hidden=False):
            1 / item
