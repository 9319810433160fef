"""Operators on text: against Python's own str and sklearn's counts, with awkward text, and refusals."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from tests.bad_input.refusal import refused

TEXTS = ["", " ", "a", "a b  c", "\ta\nb ", "é,ü,,", "nul\0 byte", "𝒳 y", "x" * 300]


def run(tensors: Any, feeds: dict[gf.Tensor, Any] | None = None) -> Any:
    with gf.Session(backend="numpy") as sess:
        return sess.run(tensors, feeds)


def fed(texts: Any) -> tuple[gf.Tensor, dict[gf.Tensor, Any]]:
    array = np.array(texts, gf.string.numpy)
    x = gf.placeholder("x", array.shape, str)
    return x, {x: array}


def test_concat_broadcasts() -> None:
    x, feeds = fed(TEXTS)
    made = run(gf.strings.concat(gf.expand_dims(x, 1), ["!", ""]), feeds)
    assert made.tolist() == [[text + "!", text] for text in TEXTS]


@pytest.mark.parametrize("delimiter", [None, "", ",", " ", "b  c"])
@pytest.mark.parametrize("max_splits", [None, 0, 1, 5])
def test_split_cuts_as_python_does(delimiter: str | None, max_splits: int | None) -> None:
    x, feeds = fed(TEXTS)
    pieces, counts = run(list(gf.strings.split(x, 4, delimiter, max_splits)), feeds)
    expected = [text.split(delimiter or None, -1 if max_splits is None else max_splits) for text in TEXTS]
    assert counts.tolist() == [len(found) for found in expected]
    assert pieces.tolist() == [(found + [""] * 4)[:4] for found in expected]


def test_normalize_drops_stop_words_and_fills_up() -> None:
    x, feeds = fed(["The", "CAT", "the", "És"])
    normalize = gf.strings.normalize
    made = run(
        [
            normalize(x, ["THE"], case="lower"),
            normalize(x, ["the"], case_sensitive=True, size=2),
            normalize(x, ["the", "cat", "és"]),
            normalize(gf.expand_dims(x, 0), case="upper", size=5),
        ],
        feeds,
    )
    assert [one.tolist() for one in made] == [
        ["cat", "és", "", ""], ["The", "CAT"], ["", "", "", ""], [["THE", "CAT", "THE", "ÉS", ""]],
    ]  # fmt: skip


@pytest.mark.parametrize("pattern", ["", ".*", "[a-z ]+", r"\w", "(?s).*byte", "é,ü,,"])
def test_full_match(pattern: str) -> None:
    x, feeds = fed(TEXTS)
    made = run(gf.strings.full_match(x, pattern), feeds)
    assert made.tolist() == [re.fullmatch(pattern, text) is not None for text in TEXTS]


def test_tf_idf_counts_as_sklearn_does() -> None:
    text = pytest.importorskip("sklearn.feature_extraction.text")
    lines = ["a b a c", "c c b a", "b b b b", "a c b c"]
    counter = text.CountVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", lowercase=False)
    expected = counter.fit_transform(lines).toarray()
    grams = [gram.split() for gram in counter.get_feature_names_out()]
    order = sorted(range(len(grams)), key=lambda place: len(grams[place]))
    pool = [word for place in order for word in grams[place]]
    ones = sum(len(gram) == 1 for gram in grams)
    x, feeds = fed([line.split() for line in lines])
    made = gf.strings.tf_idf(x, pool, [0, ones], order, max_length=2)
    weights = np.arange(1, len(order) + 1) / 4
    weighted = gf.strings.tf_idf(x, pool, [0, ones], order, max_length=2, mode="TFIDF", weights=weights)
    seen = gf.strings.tf_idf(x, pool, [0, ones], order, max_length=2, mode="IDF", weights=weights)
    placed = np.empty(len(order))
    placed[order] = weights
    found = run([made, weighted, seen], feeds)
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_array_equal(found[1], expected * placed)
    np.testing.assert_array_equal(found[2], (expected > 0) * placed)


def test_tf_idf_skips_equally_far() -> None:
    tokens = gf.constant([1, 2, 3, 4, 1, 3])
    made = gf.strings.tf_idf(tokens, [1, 3, 1, 4], [0, 0], [0, 1], max_length=2, min_length=2, max_skip=2)
    assert run(made).tolist() == [2.0, 1.0]  # (1, 3) at distances 2 and 1, (1, 4) at distance 3


def test_tf_idf_takes_huge_lengths_and_grams_listed_twice() -> None:
    tokens = gf.constant([1, 2, 1])
    made = gf.strings.tf_idf(tokens, [1, 2, 1], [0], [0, 1, 2], max_length=2**70, max_skip=2**70)
    assert run(made).tolist() == [0.0, 1.0, 2.0]  # the later place counts


def test_split_at_most_a_huge_number_of_times() -> None:
    pieces, count = gf.strings.split(gf.constant("a b c"), size=4, max_splits=2**70)
    assert run([pieces, count])[0].tolist() == ["a", "b", "c", ""]


def test_symbolic_sizes() -> None:
    x = gf.placeholder("x", ("n",), str)
    pieces, counts = gf.strings.split(x, size=3)
    kept = gf.strings.normalize(x, ["a"])
    assert [str(one.type) for one in (pieces, counts, kept)] == ["string[n, 3]", "int64[n]", "string[n]"]
    assert run(kept, {x: ["a", "b"]}).tolist() == ["b", ""]


def test_optimizing_moves_and_folds_text() -> None:
    x, feeds = fed(["a", "b"])
    made = gf.where(gf.equal(gf.strings.concat(x, "!"), "a!"), gf.strings.concat("yes", ""), "no")
    for level in ("O0", "O2", "O3"):
        with gf.Session(backend="numpy", level=level) as sess:
            assert sess.run(made, feeds).tolist() == ["yes", "no"]


@pytest.mark.parametrize(
    ("call", "kind", "fact"),
    [
        (lambda s: gf.strings.split(s), gf.AttributeValueError, "needs a size"),
        (lambda s: gf.strings.split(s, -1), gf.ShapeError, "at least 0, not -1"),
        (lambda s: gf.strings.split(s, 2, delimiter=7), gf.AttributeValueError, "has to be text, not 7"),
        (lambda s: gf.strings.full_match(s, "("), gf.AttributeValueError, "no regular expression"),
        (lambda s: gf.strings.normalize(s, case="Title"), gf.AttributeValueError, "no case 'Title'"),
        (lambda s: gf.strings.normalize(gf.reshape(s, (3, 1))), gf.ShapeError, "shape [n] or [1, n]"),
        (lambda s: gf.strings.concat(s, gf.constant([1.0])), gf.DTypeError, "float32"),
        (lambda s: gf.strings.tf_idf(s, [1], [0], [0], 1), gf.AttributeValueError, "has to hold str"),
        (lambda s: gf.strings.tf_idf(s, ["a"], [0], [0, 1], 1), gf.AttributeValueError, "1 n-grams, but"),
        (lambda s: gf.strings.tf_idf(s, ["a"], [0, 9], [0], 1), gf.AttributeValueError, "do not cut a pool"),
        (lambda s: gf.strings.tf_idf(s, ["a"], [0], [0], 1, mode="?"), gf.AttributeValueError, "no mode"),
    ],
)  # fmt: skip
def test_refusals(call: Any, kind: type[gf.GraphFlowError], fact: str) -> None:
    s = gf.placeholder("s", (3,), str)
    with refused(kind, fact):
        call(s)


def test_jax_names_what_it_cannot_run() -> None:
    x, feeds = fed(["a"])
    tokens = gf.placeholder("tokens", (2,), gf.int32)
    counted = gf.strings.tf_idf(tokens, [1], [0], [0], 1)
    with gf.Session(backend="jax") as sess:
        with refused(gf.BackendError, "regex_full_match", "XLA has no strings", "backend='numpy'"):
            sess.run(gf.strings.full_match(x, "a"), feeds)
        with refused(gf.BackendError, "tf_idf_vectorizer", "n-grams", "backend='numpy'"):
            sess.run(counted, {tokens: [1, 2]})
