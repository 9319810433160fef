"""What the tests of bad input share: each that takes `backend` runs on numpy and on jax."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["numpy", "jax"])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of a backend."""
    return request.param
