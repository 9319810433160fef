"""Import of operators on text, whose results have as many elements as the text that is given says."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.io.onnx.call import Call
from graphflow.ir.node import Tensor
from graphflow.ops import strings


def _split(call: Call, x: Tensor) -> tuple[Tensor, ...]:
    delimiter, most = call.attr("delimiter") or None, call.attr("maxsplit")
    texts = np.asarray(call.array(x)).reshape(-1).tolist()
    longest = max([len(text.split(delimiter, -1 if most is None else most)) for text in texts], default=0)
    return strings.split(x, longest, delimiter, most)


def _normalize(call: Call, x: Tensor) -> Tensor:
    stop_words, exact = call.attr("stopwords", []), call.flag("is_case_sensitive")
    seen = str if exact else str.lower
    stopped = {seen(word) for word in stop_words}
    size = x.shape[-1]
    if stopped:
        texts = np.asarray(call.array(x)).reshape(-1).tolist()
        size = max(sum(seen(text) not in stopped for text in texts), 1)
    case = call.attr("case_change_action", "NONE")
    return strings.normalize(x, stop_words, case, exact, size)


def _tf_idf(call: Call, x: Tensor) -> Tensor:
    return strings.tf_idf(
        x,
        call.attr("pool_int64s") or call.attr("pool_strings"),
        call.attr("ngram_counts"),
        call.attr("ngram_indexes"),
        max_length=call.attr("max_gram_length"),
        min_length=call.attr("min_gram_length"),
        max_skip=call.attr("max_skip_count"),
        mode=call.attr("mode"),
        weights=call.attr("weights"),
    )


TABLE: dict[str, Any] = {
    "RegexFullMatch": lambda call, x: strings.full_match(x, call.attr("pattern")),
    "StringConcat": lambda call, x, y: strings.concat(x, y),
    "StringNormalizer": _normalize,
    "StringSplit": _split,
    "TfIdfVectorizer": _tf_idf,
}
