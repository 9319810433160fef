"""All batching rules: importing this module fills the table."""

from graphflow.vectorize import (
    rules_control,
    rules_conv,
    rules_indexing,
    rules_linalg,
    rules_random,
    rules_reduction,
    rules_shape,
    rules_strings,
    rules_windows,
)

__all__ = [
    "rules_control",
    "rules_conv",
    "rules_indexing",
    "rules_linalg",
    "rules_random",
    "rules_reduction",
    "rules_shape",
    "rules_strings",
    "rules_windows",
]
