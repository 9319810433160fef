"""A small saved model to call commands on, and a way to call them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import graphflow as gf
from graphflow.cli import main


class Answer(NamedTuple):
    """What a command did: its exit status, and what it wrote to standard output and standard error."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with the input x float32[batch, 3] and the output head/y = exp(x w) * 1."""
    with gf.Graph("small") as graph:
        x = gf.placeholder("x", ("batch", 3))
        w = gf.variable("w", initializer=np.arange(6, dtype=np.float32).reshape(3, 2) / 10)
        with gf.name_scope("head"):
            y = gf.multiply(gf.exp(gf.matmul(x, w)), 1.0, name="y")
    with gf.Session(graph, backend="numpy") as sess:
        return gf.saved_model.save(tmp_path_factory.mktemp("cli") / "model", sess, inputs=[x], outputs=[y])


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Call the command line with arguments."""

    def run(*arguments: object) -> Answer:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as exit:  # argparse leaves that way
            status = exit.code if isinstance(exit.code, int) else 1
        return Answer(status, *capsys.readouterr())

    return run
