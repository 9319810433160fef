"""Rewrite rules by family; `RULES` lists them in the order in which they are tried at a node.

A rule names operators, and comes into force when they exist. To add one, write it into the file of
its family and list it in that file's `RULES`; give it a test in the file of the same name.
"""

from __future__ import annotations

from graphflow.optimizer.rule import Rule
from graphflow.optimizer.rules import (
    arithmetic,
    attention_forms,
    bounds,
    canonical,
    composites,
    conv_algorithm,
    cuts,
    fold_weights,
    layout,
    logic,
    movement,
    packing,
    pieces,
    product_layout,
    products,
    quantization,
    reassociate,
    reduction,
    scan_sums,
    selections,
    shape,
    sizes,
    stabilize,
    stable_functions,
    stable_losses,
    strength,
    totals,
    truth,
    whole_forms,
)

RULES: tuple[Rule, ...] = (
    *arithmetic.RULES,
    *canonical.RULES,
    *logic.RULES,
    *truth.RULES,
    *bounds.RULES,
    *movement.RULES,
    *shape.RULES,
    *pieces.RULES,
    *cuts.RULES,
    *sizes.RULES,
    *reduction.RULES,
    *totals.RULES,
    *selections.RULES,
    *quantization.RULES,
    *stabilize.RULES,
    *stable_losses.RULES,
    *stable_functions.RULES,
    *reassociate.RULES,
    *strength.RULES,
    *composites.RULES,
    *attention_forms.RULES,
    *fold_weights.RULES,
    *products.RULES,
)

PASS_RULES: tuple[Rule, ...] = (
    *layout.RULES,
    *conv_algorithm.RULES,
    *packing.RULES,
    *product_layout.RULES,
    *whole_forms.RULES,
    *scan_sums.RULES,
)
"""The rules that other passes than `canonicalize` apply."""
