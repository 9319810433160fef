"""ONNX's own backend tests, against the lists of those that are known to miss."""

from __future__ import annotations

import pytest

from tests.io.onnx import conformance

LEAST = {"numpy": 2010, "jax": 1850}


@pytest.mark.slow
def test_all_on_numpy() -> None:
    found = conformance.outcomes("numpy", "O2", conformance.names())
    assert len(found) == len(conformance.names()) >= 2033
    assert conformance.differences("numpy", found) == []


@pytest.mark.slow
def test_a_third_on_jax() -> None:
    """All of them run in `make conformance`."""
    found = conformance.outcomes("jax", "O2", conformance.third(conformance.names()))
    assert len(found) >= 677
    assert conformance.differences("jax", found) == []


def test_the_lists_name_tests_and_reasons() -> None:
    known = {name for _, name in conformance.names()}
    for backend in conformance.BACKENDS:
        missed = conformance.known_misses(backend)
        assert set(missed) <= known
        assert set(missed.values()) <= set(conformance.REASONS)
        assert conformance.scores(missed)["all"][0] >= LEAST[backend]


def test_the_page_is_up_to_date() -> None:
    assert conformance.PAGE.read_text("utf-8") == conformance.page(), (
        "run python -m tests.io.onnx.conformance --write"
    )


def test_a_refusal_that_onnx_swallows_is_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx.backend.test.runner import BackendIsNotSupposedToImplementIt

    def refuse(*_: object, **__: object) -> None:
        raise BackendIsNotSupposedToImplementIt("no")

    monkeypatch.setattr(conformance.Checked, "prepare", refuse)
    chosen = [one for one in conformance.names() if one[1] == "test_abs_cpu"]
    assert conformance.outcomes("numpy", "O0", chosen) == {"test_abs_cpu": "nothing was run"}
