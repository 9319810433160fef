"""Rewrite rules by family; `RULES` lists them in the order in which they are tried at a node.

A rule names operators, and comes into force when they exist. To add one, write it into the file of
its family and list it in that file's `RULES`; give it a test in the file of the same name.
"""

from __future__ import annotations

from graphflow.optimizer.rule import Rule
from graphflow.optimizer.rules import arithmetic, logic, pieces, reassociate, reduction, shape, stabilize

RULES: tuple[Rule, ...] = (
    *arithmetic.RULES,
    *logic.RULES,
    *shape.RULES,
    *pieces.RULES,
    *reduction.RULES,
    *stabilize.RULES,
    *reassociate.RULES,
)
