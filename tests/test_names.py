"""The public names: what `dir` lists, and where a name that is not there is said to be."""

from __future__ import annotations

import functools

import pytest

import graphflow as gf


def test_dir_lists_what_is_public() -> None:
    assert {name for name in dir(gf) if not name.startswith("__")} == set(gf.__all__)


@pytest.mark.parametrize(
    "place",
    [
        "data",
        "fft",
        "layers",
        "linalg",
        "nn",
        "prove",
        "random",
        "sequence",
        "signal",
        "strings",
        "train",
        "viz",
    ],
)
def test_dir_of_a_namespace_lists_its_functions(place: str) -> None:
    namespace = getattr(gf, place)
    assert [name for name in dir(namespace) if not name.startswith("__")] == sorted(namespace.__all__)
    assert all(hasattr(namespace, name) for name in dir(namespace))


def test_dir_of_the_initializers_lists_them() -> None:
    assert dir(gf.initializers) == sorted(gf.initializers._SAMPLERS)
    assert all(callable(getattr(gf.initializers, name)) for name in dir(gf.initializers))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("relu", "gf.nn.relu"),
        ("dense", "gf.layers.dense"),
        ("Adam", "gf.train.Adam"),
        ("svd", "gf.linalg.svd"),
        ("cumsum", "gf.cumulative_sum"),
        ("grad", "gf.gradients"),
    ],
)
def test_a_missing_name_is_found_where_it_is(name: str, place: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; it is {place}$"):
        getattr(gf, name)


@pytest.mark.parametrize("name", ["nowhere", "_relu", "__relu__", "a.b", "", "cli.nothing"])
def test_a_name_that_is_nowhere_is_plainly_missing(name: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(gf, name)
    assert str(caught.value) == f"module 'graphflow' has no attribute {name!r}"
    assert caught.value.name == name and caught.value.obj is gf


def test_names_from_elsewhere_lead_to_what_exists_and_hide_nothing() -> None:
    for name, meant in gf._KNOWN_AS.items():
        assert callable(functools.reduce(getattr, meant.split("."), gf)), meant
        assert name not in gf.__all__
