"""Periodic regions of sequences: true where they are claimed, found where they are planted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.runtime.repetition import Region, find_regions


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_what_is_claimed_repeats(numbers: list[int], shortest: int) -> None:
    end = 0
    for start, stop, period in find_regions(numbers, shortest):
        assert start >= end and stop <= len(numbers) and stop - start >= max(2 * period, shortest)
        assert numbers[start : stop - period] == numbers[start + period : stop]
        end = stop


@given(st.integers(1, 90), st.integers(2, 6), st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_planted_repetition_is_found(period: int, turns: int, before: int, after: int) -> None:
    block = list(range(100, 100 + period))
    numbers = [*range(1000, 1000 + before), *block * turns, *range(2000, 2000 + after)]
    assert find_regions(numbers, 2 * period) == [Region(before, before + period * turns, period)]


def test_blocks_inside_blocks_do_not_hide_the_longer_period() -> None:
    inner = list(range(30))
    layer = [*inner * 3, *range(50, 90)]
    assert find_regions(layer * 12, shortest=200) == [Region(0, 12 * len(layer), len(layer))]


def test_two_regions_of_different_periods() -> None:
    numbers = [*[1, 2, 3] * 20, 99, *[4, 5, 6, 7, 8] * 20]
    assert find_regions(numbers, 40) == [Region(0, 60, 3), Region(61, 161, 5)]


@pytest.mark.parametrize("numbers", [[], [1], [1, 2, 3]])
def test_nothing_repeats(numbers: list[int]) -> None:
    assert find_regions(numbers) == []


def test_a_million_numbers() -> None:
    numbers = np.tile(np.arange(37), 30_000)
    assert find_regions(numbers, 1000) == [Region(0, len(numbers), 37)]
