"""Placeholders leave sizes open under names of their own, also after a failed attempt."""

from __future__ import annotations

import pytest

import graphflow as gf


def test_open_sizes_of_like_names_are_different_sizes() -> None:
    with gf.name_scope("a"):
        first = gf.placeholder("b", (None,))
    second = gf.placeholder("a_b", (None,))
    assert str(first.shape[0]) == "a_b_0" and first.shape[0] != second.shape[0]


def test_a_named_size_is_shared_and_an_open_one_is_not() -> None:
    x, y = gf.placeholder("x", ("batch", None)), gf.placeholder("y", ("batch", None))
    assert x.shape[0] == y.shape[0] and x.shape[1] != y.shape[1]


def test_a_failed_placeholder_leaves_its_names_free() -> None:
    with pytest.raises(gf.ShapeError):
        gf.placeholder("x", (None, -1))
    assert str(gf.placeholder("x", (None,)).shape[0]) == "x_0"
