"""What factorizations share: matrices without a result, phases, and the order of sizes."""

from __future__ import annotations

import numpy as np

from graphflow.ir.dims import Dim
from graphflow.ops.matrices import at_most, directions, or_nan, phases


def test_only_the_matrix_without_a_result_gives_nan() -> None:
    stack = np.stack([2 * np.eye(2), np.zeros((2, 2)), np.eye(2)])
    made = or_nan(np.linalg.inv, stack)
    np.testing.assert_array_equal(made, np.stack([np.eye(2) / 2, np.full((2, 2), np.nan), np.eye(2)]))
    right = np.ones((2, 1, 2, 3))
    made = or_nan(np.linalg.solve, stack, right)
    assert made.shape == (2, 3, 2, 3)
    np.testing.assert_array_equal(np.isnan(made).any((-1, -2)), [[False, True, False]] * 2)


def test_several_results_are_nan_together() -> None:
    stack = np.stack([np.full((2, 2), np.nan), np.eye(2)])
    u, s, vh = or_nan(lambda x: tuple(np.linalg.svd(x)), stack)
    assert np.isnan(u[0]).all() and np.isnan(s[0]).all() and np.isnan(vh[0]).all()
    np.testing.assert_array_equal(s[1], [1, 1])


def test_the_phase_is_that_of_the_first_sizable_element() -> None:
    x = np.array([[0.1, -1.0, 0.0], [-1.0, 1.0, 0.0], [1.0, 0.5, 0.0]])
    np.testing.assert_array_equal(phases(x), [-1, -1, 1])
    np.testing.assert_allclose(phases(np.array([[3j], [4.0]])), [1j])
    assert phases(np.zeros((0, 2))).tolist() == [1, 1]
    np.testing.assert_array_equal(directions(np.array([-2.0, 0.0, 5.0])), [-1, 1, 1])


def test_sizes_are_ordered_where_that_is_known() -> None:
    n = Dim("n")
    assert [at_most(2, 3), at_most(3, 2), at_most(n, n), at_most(n, n + 1), at_most(n + 1, n)] == [
        True, False, True, True, False,
    ]  # fmt: skip
    assert at_most(n, 3) is None and at_most(3, n) is None
