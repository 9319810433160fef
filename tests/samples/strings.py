"""Samples of the strings family."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.samples import sample


def texts(value: Any) -> np.ndarray:
    return np.array(value, np.dtypes.StringDType())


WORDS = texts([["a b", "", "  x\ty  "], ["é,ü", "a,b,,c", "nul\0 inside"]])

sample("string_concat", WORDS, texts([".txt", "", "\n"]))
sample("string_concat", texts("a"), texts("b"))
sample("string_concat", texts([]), texts("b"))
sample("string_split", WORDS, size=3)
sample("string_split", WORDS, size=2, delimiter=",")
sample("string_split", WORDS, delimiter=",", max_splits=1)
sample("string_split", texts("one two"), size=4, max_splits=0)
sample("string_split", texts([]), size=2)
sample("string_split", WORDS, size=0)
sample("string_normalizer", texts(["The", "cat", "the", "É"]), stop_words=["the"], case="upper")
sample("string_normalizer", texts([["The", "cat", "the"]]), stop_words=["the"], case_sensitive=True, size=2)
sample("string_normalizer", texts(["a", "a"]), stop_words=["A"], size=1)
sample("string_normalizer", texts([]), size=3)
sample("regex_full_match", WORDS, pattern=r"[a-z,]+")
sample("regex_full_match", texts("\n"), pattern=".")
sample("regex_full_match", texts([]), pattern="")

POOL = {"pool": ["a", "b", "a", "b", "b", "c"], "ngram_counts": [0, 2], "ngram_indexes": [0, 3, 2, 1]}
SEQUENCE = texts([["a", "b", "c", "b"], ["b", "b", "a", "x"]])
sample("tf_idf_vectorizer", SEQUENCE, **POOL, max_length=2)
sample("tf_idf_vectorizer", SEQUENCE, **POOL, max_length=2, max_skip=1, mode="IDF", weights=[1, 2, 0.5, 4])
sample(
    "tf_idf_vectorizer", SEQUENCE[0], **POOL, max_length=2, min_length=2, mode="TFIDF", weights=[1, 2, 3, 4]
)
sample(
    "tf_idf_vectorizer",
    np.int32([5, 6, 5]),
    pool=[5, 6, 6, 5],
    ngram_counts=[0, 2],
    ngram_indexes=[0, 1, 1],
    max_length=9,
)
sample("tf_idf_vectorizer", texts([]), **POOL, max_length=1)
