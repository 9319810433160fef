"""The debug mode of a session: rewrites checked on real values, and NaN traced to the node that makes it.

Both wrap the runner of an executable, so that sessions without them pay nothing.

    check_values   at the first run for a set of sizes the optimizer runs again, watched by a `ValueCheck`
                   with the values of that run. A rule that changes more than its class permits is named in
                   a warning, and the program is compiled anew without it.
    nan_guard      after each run the fetches and new values of variables are looked at. If one is not
                   finite, nothing is changed: the program as it was built is run node by node by the NumPy
                   references, and the first node that makes NaN or infinity of finite values is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow.errors import NonFiniteError
from graphflow.ir.node import Tensor
from graphflow.optimizer.nonfinite import first_birth, is_finite, kind_of, not_finite_outside
from graphflow.optimizer.program import Program
from graphflow.runtime.backend import Backend
from graphflow.session.step import Finish, Runner
from graphflow.session.variables import Variables


@dataclass(frozen=True, slots=True)
class Debug:
    """What is looked at: values of rewrites, and NaN in results; and the variables these come from."""

    check_values: bool
    nan_guard: bool
    variables: Variables

    def outside(self, program: Program, feeds: Sequence[Any], backend: Backend) -> dict[Tensor, np.ndarray]:
        """The values that a program takes from outside, as they are now."""
        host = [array if isinstance(array, np.ndarray) else backend.get(array) for array in feeds]
        values = dict(zip(program.feeds, host))
        variables = self.variables
        with variables.lock:
            variables.ensure(node.name for node in program.nodes if node.op.name == "variable")
            for node in program.nodes:
                if node.op.name == "variable":
                    values[node.output] = variables.read(node.name)
                elif node.op.name == "session_key":
                    values[node.output] = variables.key()
        return values


def guarded(run: Runner, debug: Debug, backend: Backend, original: Callable[[], Program]) -> Runner:
    """A runner that raises where a result has NaN or infinity, and then leaves everything as it was.

    Arguments:
        original: makes the program as it was built, for the same sizes.

    Its errors:
        NonFiniteError: naming the first node that makes it.
    """
    variables = debug.variables

    def guarded_run(feeds: Sequence[Any], finish: Finish) -> Any:
        with variables.lock:
            state, step = variables.arrays, variables.step
            kept: list[Any] = []

            def watching(outputs: Sequence[Any]) -> Any:
                kept[:] = outputs
                return finish(outputs)

            result = run(feeds, watching)
            bad = [array for array in map(backend.get, kept) if not is_finite(array)]
            if not bad:
                return result
            variables.arrays, variables.step = state, step
            program = original()
            raise _error(program, debug.outside(program, feeds, backend), kind_of(bad[0]), backend.name)

    return guarded_run


def _error(program: Program, outside: Mapping[Tensor, np.ndarray], what: str, backend: str) -> NonFiniteError:
    given = not_finite_outside(program, outside)
    birth = first_birth(program, outside)
    if birth is None and given is None:
        return NonFiniteError(
            f"a result has {what} on {backend}, but not on numpy as the graph was built",
            hint="gf.prove.check(fetches, inputs) names the tensor that parts first",
        )
    said = "; ".join(str(one) for one in (birth, given) if one is not None)
    return NonFiniteError(
        f"a result has {what}: {said}",
        hint="nothing has been changed; guard the operand (gf.clip, gf.where), or make the session "
        "without nan_guard if this is meant",
    )
