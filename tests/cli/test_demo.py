"""`graphflow demo`: how its options reach the demo."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphflow import demo
from tests.cli.conftest import Answer

Call = Callable[..., Answer]


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        ([], ("demo_out", 0, demo.EPOCHS)),
        (["--out", "there", "--seed", "7", "--epochs", "1"], ("there", 7, 1)),
        (["--seed", str(2**64 - 1)], ("demo_out", 2**64 - 1, demo.EPOCHS)),
    ],
)
def test_options(call: Call, monkeypatch: pytest.MonkeyPatch, options: list[str], passed: tuple) -> None:
    calls: list[tuple] = []
    monkeypatch.setattr(demo, "main", lambda *arguments: calls.append(arguments))
    assert call("demo", *options) == (0, "", "")
    assert calls == [passed]


@pytest.mark.parametrize(
    ("option", "value"),
    [("--epochs", "0"), ("--epochs", "two"), ("--seed", "-1"), ("--seed", str(2**64)), ("--seed", "1.5")],
)
def test_numbers_that_make_no_sense(call: Call, option: str, value: str) -> None:
    status, _, err = call("demo", option, value)
    assert status == 2 and f"argument {option}: " in err and value in err


def test_the_help_tells_the_default(call: Call) -> None:
    assert f"({demo.EPOCHS})" in call("demo", "--help").out
