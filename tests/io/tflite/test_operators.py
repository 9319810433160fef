"""Each operator alone, in floats, against TensorFlow Lite's interpreter."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from graphflow.io.tflite.vocabulary import COMPUTES, MOVES, STORED
from tests.io.tflite.cases import CASES, Case
from tests.io.tflite.oracle import computed, expected

ELSEWHERE = {
    "BITCAST", "CALL", "COMPLEX_ABS", "IF", "IMAG", "QUANTIZE", "REAL", "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN", "WHILE",
}  # fmt: skip
"""Operators that tests of their own are for."""


@pytest.mark.parametrize("case", CASES, ids=[f"{one.op}-{one.label}".strip("-") for one in CASES])
def test_operator(case: Case) -> None:
    content = case.file()
    wanted, made = expected(content, case.feeds()), computed(content, case.feeds())
    assert len(wanted) == len(made)
    for want, got in zip(wanted, made):
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        if case.exact or want.dtype.kind in "biu":
            np.testing.assert_array_equal(got, want)
        else:
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6)


def test_every_operator_is_tested() -> None:
    known = {*COMPUTES, *MOVES, *STORED}
    assert len(known) >= 120
    assert Counter(known - ELSEWHERE) == Counter({case.op for case in CASES})
