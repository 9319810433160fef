"""Values for a program of a model, so that the optimizer can be watched on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphflow.errors import FeedError
from graphflow.ir.node import Tensor
from graphflow.model.model import Model
from graphflow.optimizer.program import Program
from graphflow.optimizer.rule import Rule
from graphflow.optimizer.value_check import ValueCheck
from graphflow.session.feeds import check_constraints, solve_sizes, to_array
from graphflow.session.value_feeds import value_feeds


def value_check(
    model: Model, inputs: Mapping[Any, Any], program: Program, rules: Sequence[Rule] = ()
) -> ValueCheck:
    """The check of a model's program on inputs by name.

    Arguments:
        program: extracted from the model, with all its inputs as feeds in their order.
        rules: further rules that may fire.

    Raises:
        FeedError: for inputs that are missing or do not fit.
    """
    if not isinstance(inputs, Mapping):
        raise FeedError(f"the inputs are {inputs!r:.80}", hint="pass a dict from input names to arrays")
    named = {key.node.name if isinstance(key, Tensor) else key: value for key, value in inputs.items()}
    wrong = set(named) ^ set(model.inputs)
    if wrong:
        raise FeedError(
            f"the inputs {', '.join(sorted(map(repr, wrong)))} are missing or unknown",
            hint="the model takes " + (", ".join(map(repr, model.inputs)) or "none"),
        )
    arrays = [to_array(named[name], tensor) for name, tensor in model.inputs.items()]
    valued = value_feeds(program.feeds, program.outputs, program.constraints)
    values = valued.read(arrays)
    sizes = solve_sizes(program.feeds, [array.shape for array in arrays], valued.solve(values))
    check_constraints(program.constraints, sizes, program.feeds)
    outside: dict[Tensor, np.ndarray] = dict(zip(program.feeds, arrays))
    weights = model.weights
    for node in program.nodes:
        if node.op.name == "variable":
            outside[node.output] = weights[node.name]
        elif node.op.name == "session_key":
            outside[node.output] = np.zeros(4, np.uint32)
    return ValueCheck(outside, sizes, rules)
