"""What the tests of sessions share: both backends, and a small graph with state."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import graphflow as gf


@pytest.fixture(params=["numpy", "jax"])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of a backend; a test that takes it runs once on each."""
    return request.param


@pytest.fixture
def counter() -> SimpleNamespace:
    """A graph with an int32 variable `count`, a Tensor that doubles it, and an Update that adds `by`."""
    by = gf.placeholder("by", (), dtype=gf.int32)
    count = gf.variable("count", (), dtype=gf.int32)
    return SimpleNamespace(
        by=by, count=count, double=gf.multiply(count, 2, name="double"), add=gf.assign(count, count + by)
    )
