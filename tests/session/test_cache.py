"""What is compiled, how often and why."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import FeedError, GraphError
from graphflow.session.cache import MANY_VARIANTS
from graphflow.session.growth import STREAK


def causes(sess: gf.Session) -> list[str]:
    return [record.cause for record in sess.compiles]


def test_the_same_fetches_share_their_programs(backend: str) -> None:
    x = gf.placeholder("x", ("batch", 2))
    y, z = x + 1.0, x * 2.0
    with gf.Session(backend=backend) as sess:
        for size in (3, 3, 5, 3, 5):
            assert sess.run(y, {x: np.zeros((size, 2))}).shape == (size, 2)
        sess.run([y], {"x": np.zeros((3, 2))})
        sess.run({"y": (y, y)}, {"x:0": np.zeros((5, 2))})
        step = sess.make_callable(y, [x])
        step(np.zeros((3, 2)))
        assert causes(sess) == ["first run of these fetches", "new size batch=5 (was 3)"]
        assert [record.sizes for record in sess.compiles] == [{"batch": 3}, {"batch": 5}]
        sess.run([y, z], {x: np.zeros((3, 2))})
        sess.run([z, y], {x: np.zeros((3, 2))})
        assert causes(sess)[2:] == ["first run of these fetches"]
        assert "compiled" in str(sess.compiles[0]) and sess.compiles[0].fetches == y.name


def test_the_cause_names_the_training_flag_and_the_feeds(backend: str) -> None:
    x = gf.placeholder("x", ())
    middle = gf.exp(x)
    y = gf.where(gf.training, middle, middle * 2.0)
    with gf.Session(backend=backend) as sess:
        sess.run(y, {x: 0.0})
        sess.run(y, {x: 0.0, gf.training: True})
        sess.run(y, {x: 0.0, gf.training: False})
        sess.run(y, {middle: 0.0})
    assert causes(sess) == [
        "first run of these fetches",
        "training=True (was False)",
        "fed exp:0 (was x:0)",
    ]


def test_growing_the_graph_keeps_what_was_compiled(backend: str) -> None:
    x = gf.placeholder("x", ())
    y = gf.exp(x)
    with gf.Session(backend=backend) as sess:
        sess.run(y, {x: 0.0})
        z = y + 1.0
        sess.run(y, {x: 1.0})
        assert len(sess.compiles) == 1
        assert sess.run(z, {x: 0.0}) == 2.0
        assert len(sess.compiles) == 2


def test_a_failed_validation_compiles_nothing(backend: str) -> None:
    x = gf.placeholder("x", ("n",))
    with gf.Session(backend=backend) as sess:
        for feeds in ({}, {x: 1.0}, {x: ["a"]}):
            with pytest.raises(FeedError):
                sess.run(x * 3.0, feeds)
        assert sess.compiles == []


def test_many_sizes_are_warned_about() -> None:
    x = gf.placeholder("x", ("n",))
    y = x + 1.0
    with gf.Session(backend="numpy") as sess:
        for size in range(1, MANY_VARIANTS):
            sess.run(y, {x: np.zeros(size)})
        with pytest.warns(UserWarning, match=rf"compiled for {MANY_VARIANTS} different sizes") as caught:
            sess.run(y, {x: np.zeros(MANY_VARIANTS)})
        sess.run(y, {x: np.zeros(MANY_VARIANTS + 1)})
    assert caught[0].filename == __file__


def test_growth_in_a_loop_is_warned_about_with_its_line() -> None:
    x = gf.placeholder("x", ())
    y = x + 1.0
    with gf.Session(backend="numpy") as sess:
        sess.run(y, {x: 0.0})
        with pytest.warns(
            UserWarning, match=rf"between runs {STREAK} times in a row at test_cache.py:\d+"
        ) as caught:
            for _ in range(STREAK + 3):
                y = y + 1.0
                sess.run(y, {x: 0.0})
                sess.run(x, {x: 0.0})
    assert len(caught) == 1 and caught[0].filename == __file__


def test_growth_that_is_no_loop_is_not_warned_about() -> None:
    x = gf.placeholder("x", ())
    y = x + 1.0
    with gf.Session(backend="numpy") as sess, warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(STREAK - 1):
            y = y + 1.0
            sess.run(y, {x: 0.0})
        y = y + 2.0
        sess.run(y, {x: 0.0})
        for _ in range(STREAK - 1):
            y = y + 3.0
            sess.run(y, {x: 0.0})


def test_a_frozen_graph_runs_and_does_not_grow() -> None:
    x = gf.placeholder("x", ())
    y = x + 1.0
    y.graph.freeze()
    with gf.Session(backend="numpy") as sess:
        assert sess.run(y, {x: 1.0}) == 2.0
        with pytest.raises(GraphError, match="is frozen"):
            y + 1.0


def test_products_get_their_algorithms_once_the_sizes_are_known() -> None:
    pytest.importorskip("jax")
    with gf.Graph() as graph:
        x = gf.placeholder("x", ("batch", 8, 6, 6))
        y = gf.nn.conv(x, np.ones((8, 1, 3, 3), np.float32), groups=8)
    feeds = {x: np.ones((3, 8, 6, 6), np.float32)}
    for exclude, chosen in ((), True), (("layout", "pack-weights"), False):
        session = gf.Session(graph, exclude=exclude)
        assert (session.run(y, feeds) == 9).all()
        note = session.explain(y, sizes={"batch": 3}).note
        assert any([rule in note for rule in ("conv_in_panels", "conv_as_shifts")]) is chosen
