"""The rules that passes apply which look at more of a program than a pattern can say.

They stand here for their names, classes and algebra; `passes.matmul_chain`, `passes.merge_products`,
`passes.neighbours` and `passes.name_composites` make their edits.
"""

from __future__ import annotations

from graphflow.optimizer.pattern import Match
from graphflow.optimizer.rule import Answer, Rule


def _applied_by_a_pass(match: Match, b: object) -> Answer:
    """No pattern of a node alone tells where these apply."""
    return None


def _declared(name: str, safety: str, evidence: str, tag: str, algebra: str) -> Rule:
    return Rule(name, (), _applied_by_a_pass, safety, evidence, frozenset({tag}), algebra)


MATMUL_CHAIN = _declared(
    "matmul_chain",
    "rounding",
    "proved",
    "products",
    "(A B) C = A (B C), in the order that takes the fewest FLOP.",
)
MERGE_PRODUCTS = _declared(
    "merge_products", "rounding", "sampled", "products", "x a and x b are the parts of x [a b], one product."
)
MERGE_NEIGHBOURS = _declared(
    "merge_neighbours",
    "exact",
    "proved",
    "loops",
    "Scans over one sequence, or over the rows of another scan, are one scan whose step does both.",
)
NAMES: dict[str, Rule] = {
    mark: _declared(f"name_{mark}", "exact", "proved", "composites", f"These nodes are what {what} is.")
    for mark, what in (
        ("attention", "attention"),
        ("rms_norm", "RMS normalization"),
        ("lstm_cell", "the cell of an LSTM"),
    )
}

RULES: tuple[Rule, ...] = (MATMUL_CHAIN, MERGE_PRODUCTS, MERGE_NEIGHBOURS, *NAMES.values())
