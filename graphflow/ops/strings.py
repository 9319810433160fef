"""Operators on text, which run on the numpy backend (family strings; exported as `gf.strings`).

Text is moved, compared and converted like numbers (`gf.concat`, `gf.take`, `gf.equal`, `gf.astype`); here
is what only text has. Where the number of results depends on the text, `size` fixes it beforehand, as the
sizes of a graph are fixed before it runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.dtypes import bool_, float32, int64, string
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.inference import broadcast_shapes, entries, require_dtype, show, whole_number

__all__ = ["concat", "full_match", "normalize", "split", "tf_idf"]


def __dir__() -> list[str]:
    return sorted(__all__)


_NO_SLOPE = "text has no derivative"


def _texts(types, operation):
    for type in types:
        require_dtype(type, "string", f"what {operation} takes")


def _text(value, what):
    if not isinstance(value, str):
        raise AttributeValueError(f"{what} has to be text, not {value!r:.80}", hint="pass a str")
    return str(value)


def _array(items: Sequence[str], shape: tuple[int, ...]) -> np.ndarray:
    return np.array(items, string.numpy).reshape(shape)


# Joining and splitting


def _concat_type(types, attrs):
    _texts(types, "string_concat")
    return (TensorType(string, broadcast_shapes(types[0].shape, types[1].shape)),)


@op("strings", infer=_concat_type, traits="elementwise broadcasting any_dtype", name="string_concat")
def concat(x, y, /):
    """Each text of x followed by that of y: z = x + y.

    Arguments:
        x, y: strings; their shapes broadcast.

    ONNX StringConcat-20.

    >>> import graphflow as gf
    >>> gf.strings.concat(gf.constant(["a", "b"]), ".txt").type
    string[2]
    """
    return np.strings.add(x, y)


concat.not_differentiable(_NO_SLOPE)


def _split_attrs(types, attrs):
    splits = attrs["max_splits"]
    splits = None if splits is None else whole_number(splits, "max_splits of string_split", 0)
    size = attrs["size"]
    if size is None and splits is None:
        raise AttributeValueError(
            "string_split needs a size: how many pieces there are depends on the text",
            hint="pass size=, the most pieces there can be (the rest are empty), or max_splits=",
        )
    delimiter = attrs["delimiter"]
    return {
        "size": dims.as_size((splits or 0) + 1 if size is None else size),
        "delimiter": None if delimiter in (None, "") else _text(delimiter, "the delimiter of string_split"),
        "max_splits": splits,
    }


def _split_type(types, attrs):
    _texts(types, "string_split")
    size = attrs["size"]
    if isinstance(size, int) and size < 0:
        raise ShapeError(f"string_split needs a size of at least 0, not {size}", hint="pass a positive size")
    shape = types[0].shape
    return TensorType(string, (*shape, size)), TensorType(int64, shape)


@op("strings", infer=_split_type, normalize=_split_attrs, traits="any_dtype", name="string_split")
def split(x, /, size=None, delimiter=None, max_splits=None):
    """Each text cut into pieces along a new last axis, and the number of pieces, as int64.

    Arguments:
        x: strings.
        size: the most pieces there can be, symbolic too: fewer are followed by empty texts, more are
            left out (the number counts them). `max_splits + 1` by default.
        delimiter: what stands between pieces; None for any white space, none at the ends.
        max_splits: cut no more often than that; the last piece is the rest of the text.

    Returns:
        pieces, of shape (*x.shape, size), and their number, of the shape of x.

    Raises:
        AttributeValueError: without `size` and `max_splits`, as the number of pieces depends on the text.

    ONNX StringSplit-20, with a fixed size.

    >>> import graphflow as gf
    >>> [y.type for y in gf.strings.split(gf.constant(["a b", "c"]), size=2)]
    [string[2, 2], int64[2]]
    """
    texts = x.reshape(-1).tolist()
    pieces = [
        text.split(delimiter, -1 if max_splits is None else min(max_splits, len(text))) for text in texts
    ]
    padded = [(found + [""] * size)[:size] for found in pieces]
    counts = np.array([len(found) for found in pieces], np.int64)
    return _array(padded, (*x.shape, size)), counts.reshape(x.shape)


split.not_differentiable(_NO_SLOPE)


# Cleaning


CASES: dict[str, Callable[[str], str]] = {"none": str, "lower": str.lower, "upper": str.upper}


def _normalize_attrs(types, attrs):
    case, words = attrs["case"], entries(attrs["stop_words"])
    if not isinstance(case, str) or case.lower() not in CASES:
        raise AttributeValueError(
            f"string_normalizer has no case {case!r:.80}", hint="use " + ", ".join(map(repr, CASES))
        )
    shape = types[0].shape
    size = attrs["size"] if attrs["size"] is not None else shape[-1] if shape else 1
    return {
        "stop_words": tuple(_text(word, "a stop word") for word in words),
        "case": case.lower(),
        "case_sensitive": attrs["case_sensitive"],
        "size": dims.as_size(size),
    }


def _normalize_type(types, attrs):
    _texts(types, "string_normalizer")
    shape, size = types[0].shape, attrs["size"]
    if len(shape) not in (1, 2) or (len(shape) == 2 and dims.unify(shape[0], 1) is None):
        raise ShapeError(
            f"string_normalizer takes texts of shape [n] or [1, n], not {show(shape)}", hint="use gf.reshape"
        )
    if isinstance(size, int) and size < 0:
        raise ShapeError(f"string_normalizer needs a size of at least 0, not {size}")
    return (TensorType(string, (*shape[:-1], size)),)


@op(
    "strings", infer=_normalize_type, normalize=_normalize_attrs, traits="any_dtype", name="string_normalizer"
)
def normalize(x, /, stop_words=(), case="none", case_sensitive=False, size=None):
    """The texts that are no stop words, in order, in one case; empty texts fill the places of the others.

    Arguments:
        x: strings of shape [n] or [1, n].
        stop_words: the texts to leave out.
        case: "lower", "upper" or "none", to which the texts that are kept are brought.
        case_sensitive: whether stop words match in their own case only.
        size: how many texts to return, n by default; what is more is left out.

    ONNX StringNormalizer-10, with a fixed size; case does not depend on a locale.

    >>> import graphflow as gf
    >>> gf.strings.normalize(gf.constant(["The", "cat"]), stop_words=["the"], case="upper").type
    string[2]
    """
    seen = str if case_sensitive else str.lower
    stopped = {seen(word) for word in stop_words}
    kept = [CASES[case](text) for text in x.reshape(-1).tolist() if seen(text) not in stopped]
    return _array((kept + [""] * size)[:size], (*x.shape[:-1], size))


normalize.not_differentiable(_NO_SLOPE)


def _match_attrs(types, attrs):
    pattern = _text(attrs["pattern"], "the pattern of regex_full_match")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise AttributeValueError(
            f"{pattern!r:.80} is no regular expression: {error}", hint="see Python's module re"
        ) from None
    return {"pattern": pattern}


def _match_type(types, attrs):
    _texts(types, "regex_full_match")
    return (TensorType(bool_, types[0].shape),)


@op(
    "strings",
    infer=_match_type,
    normalize=_match_attrs,
    traits="elementwise any_dtype",
    name="regex_full_match",
)
def full_match(x, /, pattern):
    """Whether all of each text matches a regular expression.

    Arguments:
        x: strings.
        pattern: in the syntax that RE2 and Python's `re` have in common.

    Raises:
        AttributeValueError: if the pattern is no regular expression.

    ONNX RegexFullMatch-20.

    >>> import graphflow as gf
    >>> gf.strings.full_match(gf.constant(["a1", "b"]), r"[a-z][0-9]").type
    bool[2]
    """
    matches = re.compile(pattern).fullmatch
    found = [matches(text) is not None for text in x.reshape(-1).tolist()]
    return np.array(found, np.bool_).reshape(x.shape)


full_match.not_differentiable(_NO_SLOPE)


# Counting n-grams


MODES = ("TF", "IDF", "TFIDF")


def _tf_idf_attrs(types, attrs):
    mode, pool = attrs["mode"], entries(attrs["pool"])
    if mode not in MODES:
        raise AttributeValueError(f"tf_idf has no mode {mode!r:.80}", hint="use " + ", ".join(MODES))
    kind = str if types[0].dtype is string else int
    if not pool or any(type(token) is not kind for token in pool):
        raise AttributeValueError(
            f"the pool of tf_idf has to hold {kind.__name__}, as {types[0]} does, at least one",
            hint="pass the n-grams one after the other: all of one token, then all of two, ...",
        )
    lengths = [
        whole_number(attrs[name], f"{name} of tf_idf", low)
        for name, low in (("min_length", 1), ("max_length", 1), ("max_skip", 0))
    ]
    starts = tuple(
        whole_number(start, "an entry of ngram_counts", 0) for start in entries(attrs["ngram_counts"])
    )
    places = tuple(
        whole_number(place, "an entry of ngram_indexes", 0) for place in entries(attrs["ngram_indexes"])
    )
    known = len(_grams(pool, starts))
    weights = None if attrs["weights"] is None else tuple(map(float, entries(attrs["weights"])))
    if known != len(places) or (weights is not None and len(weights) != known):
        raise AttributeValueError(
            f"the pool of tf_idf has {known} n-grams, but there are {len(places)} indexes"
            + ("" if weights is None else f" and {len(weights)} weights"),
            hint="give each n-gram an index, and a weight if there are any",
        )
    return {
        "pool": pool, "ngram_counts": starts, "ngram_indexes": places, "weights": weights, "mode": mode,
        "min_length": lengths[0], "max_length": lengths[1], "max_skip": lengths[2],
    }  # fmt: skip


def _grams(pool: tuple[Any, ...], starts: tuple[int, ...]) -> list[tuple[Any, ...]]:
    """The n-grams in a pool, those of n tokens from the n-th start on."""
    if list(starts) != sorted(starts) or starts[-1] > len(pool):
        raise AttributeValueError(
            f"the starts {starts} do not cut a pool of {len(pool)} tokens",
            hint="give them in ascending order",
        )
    found = []
    for length, (start, end) in enumerate(zip(starts, (*starts[1:], len(pool))), start=1):
        found += [pool[place : place + length] for place in range(start, end - length + 1, length)]
    return found


def _tf_idf_type(types, attrs):
    require_dtype(types[0], "string int uint", "what tf_idf takes")
    shape = types[0].shape
    if len(shape) not in (1, 2):
        raise ShapeError(
            f"tf_idf takes tokens of shape [n] or [rows, n], not {show(shape)}", hint="use gf.reshape"
        )
    return (TensorType(float32, (*shape[:-1], max(attrs["ngram_indexes"]) + 1)),)


@op("strings", infer=_tf_idf_type, normalize=_tf_idf_attrs, traits="any_dtype", name="tf_idf_vectorizer")
def tf_idf(
    x, /, pool, ngram_counts, ngram_indexes, max_length, min_length=1, max_skip=0, mode="TF", weights=None
):
    """How often each n-gram of a pool occurs in a sequence of tokens, weighted: y_i = weight_i count_i.

    Arguments:
        x: tokens, strings or integers, of shape [n] or [rows, n].
        pool: the n-grams one after the other: first all of one token, then all of two, and so on.
        ngram_counts: where in the pool those of 1, 2, ... tokens begin.
        ngram_indexes: the place of each n-gram in the result.
        max_length, min_length: how many tokens the n-grams to look for have.
        max_skip: the tokens of an n-gram may stand up to so many tokens apart, all equally far.
        mode: "TF" for counts; "IDF" for the weight of what occurs at all; "TFIDF" for both multiplied.
        weights: of the n-grams, in the order of the pool; None for 1.

    Returns:
        float32 of shape [max(ngram_indexes) + 1] or [rows, max(ngram_indexes) + 1].

    Raises:
        AttributeValueError: if the pool, its starts, indexes and weights do not belong together.

    ONNX TfIdfVectorizer-9.

    >>> import graphflow as gf
    >>> words = gf.constant(["a", "b", "a"])
    >>> gf.strings.tf_idf(words, ["a", "b", "a", "b"], [0, 2], [0, 1, 2], max_length=2).type
    float32[3]
    """
    grams = _grams(pool, ngram_counts)
    places = {gram: place for place, gram in enumerate(grams)}
    wanted = [length for length in range(min_length, min(max_length, len(ngram_counts)) + 1)]
    counts = [_counts(tokens, places, len(grams), wanted, max_skip) for tokens in np.atleast_2d(x).tolist()]
    table = np.array(counts, np.float64).reshape(-1, len(grams))
    table = table if mode != "IDF" else (table > 0).astype(np.float64)
    if mode != "TF" and weights is not None:
        table = table * np.asarray(weights, np.float64)
    result = np.zeros((len(table), max(ngram_indexes) + 1))
    np.add.at(result.T, list(ngram_indexes), table.T)
    return result.astype(np.float32).reshape(*x.shape[:-1], -1)


def _counts(
    tokens: list[Any], places: dict[tuple, int], size: int, lengths: list[int], max_skip: int
) -> list[int]:
    found = [0] * size
    max_skip = min(max_skip, len(tokens))
    for length in lengths:
        for step in range(1, max_skip + 2 if length > 1 else 2):  # one token has nothing to skip
            for start in range(len(tokens) - (length - 1) * step):
                place = places.get(tuple(tokens[start : start + (length - 1) * step + 1 : step]))
                if place is not None:
                    found[place] += 1
    return found


tf_idf.not_differentiable("it counts", zero=True)
