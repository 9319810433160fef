"""What every test stands on: jax on the CPU, an empty default graph, repeatable random numbers."""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # before anything imports jax

import zlib
from collections.abc import Iterator

import hypothesis
import numpy as np
import pytest

from graphflow.ir.graph import reset_default_graph

hypothesis.settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "thorough", hypothesis.settings.get_profile("repeatable"), derandomize=False, max_examples=1000
)
hypothesis.settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--seed`, which repeats a failure or looks for new ones."""
    parser.addoption("--seed", type=int, help="seed of the rng fixture (default: drawn from the test's name)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the tests marked `gpu` where the environment does not offer jax one."""
    platforms = os.environ["JAX_PLATFORMS"].split(",")
    if not {"cuda", "gpu", "rocm"}.intersection(platforms):
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a GPU: run with JAX_PLATFORMS=cuda,cpu"))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """This test's seed: the same in every run, another for every test; printed when the test fails."""
    given = request.config.getoption("--seed")
    value = zlib.crc32(request.node.nodeid.encode()) if given is None else given
    print(f"the seed was {value}; to repeat: pytest --seed {value} {request.node.nodeid!r}")
    return value


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """Random numbers drawn from this test's seed."""
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def empty_default_graph() -> Iterator[None]:
    """Give each test a default graph of its own, and leave none behind."""
    reset_default_graph()
    yield
    reset_default_graph()
