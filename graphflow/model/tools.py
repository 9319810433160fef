"""What can be asked of a model: to be optimised, and how much memory it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphflow.errors import GraphError
from graphflow.ir.node import Tensor
from graphflow.model.model import Model
from graphflow.model.values import value_check
from graphflow.optimizer import pipelines
from graphflow.optimizer.explain import explain
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.loading import checked_passes
from graphflow.optimizer.memory.report import MemoryReport
from graphflow.optimizer.pass_manager import Pass
from graphflow.optimizer.program import extract
from graphflow.optimizer.rule import Rule
from graphflow.optimizer.selection import checked_names
from graphflow.session.arguments import checked_level
from graphflow.session.choices import checked_precision, in_precision
from graphflow.session.session import Session


def _require_model(model: Any) -> Model:
    if not isinstance(model, Model):
        raise GraphError(
            f"{model!r:.80} is no model",
            hint="make one: gf.Model(inputs=[x], outputs={'y': y}, session=sess)",
        )
    return model


def optimize(
    model: Model,
    level: str = "O2",
    pipeline: str = "",
    *,
    precision: str | None = None,
    rules: Sequence[Rule] = (),
    passes: Sequence[type[Pass]] = (),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    steps: int | None = None,
    check_values: Mapping[Any, Any] | None = None,
    strict: bool = False,
) -> Model:
    """A model that computes the same with less work, for running rather than training.

    Arguments:
        model: what to optimise; its default signature counts.
        level: how much, "O0" to "O3".
        pipeline: passes in string form, instead of the level's: "eliminate,fold-constants".
        precision: "bfloat16" or "float16" computes products, and what stands it, in 16 bits.
        rules: rules of your own, tried after those of the package where the level admits their class.
        passes: passes of your own, which `pipeline` or `include` names.
        include, exclude: names of rules, tags of rules, and passes to run or to leave out. A rule that is
            included by name runs whatever its safety class.
        steps: stop after so many edits; see also `Report.replay`.
        check_values: inputs for which the value of every replacement is compared with what it replaces. A
            rule that changes more than its class permits is left out, with a warning that names it.
        strict: raise where a rule fails, or is found to change values, instead of leaving it out.

    Returns:
        a new Model; its `report` tells every edit and what was declined.

    Raises:
        AttributeValueError: for an unknown pass, option, rule or tag, or `steps` that is no count.
        RewriteError: if `strict`, naming the rule.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (2,))
    >>> small = gf.optimize(gf.Model(inputs=[x], outputs={"y": gf.exp(x) * 1.0}))
    >>> [node.op.name for node in small.graph.nodes]
    ['placeholder', 'exp']
    """
    checked_level(level)
    text, own = str(pipeline) or pipelines.level_pipeline(level), checked_passes(passes)
    narrow = checked_precision(precision, pipelines.parse_pipeline(text, own))
    label = f"{pipeline or level} in {narrow}" if narrow else pipeline or level
    inputs, outputs = _require_model(model).inputs, model.outputs
    fetches, feeds = list(outputs.values()), list(inputs.values())
    original = extract(fetches, feeds=feeds, training=False, name=model.graph.name)
    program = extract(fetches, feeds=feeds, training=False, name=model.graph.name)
    journal = Journal("remarks", steps)
    observer = None if check_values is None else value_check(model, check_values, program, rules)
    program = pipelines.optimize(
        program, level, in_precision(text, narrow), journal, strict=strict, rules=rules, observer=observer,
        passes=own, include=checked_names(include, "include"), exclude=checked_names(exclude, "exclude"),
    )  # fmt: skip
    given: dict[str, Tensor] = dict(zip(inputs, program.feeds))
    made = Model(program, given, dict(zip(outputs, program.outputs)), weights=model.weights)
    journal.label = label
    made.report = explain(original, program, journal)
    return made


def plan_memory(
    model: Model,
    sizes: Mapping[str, int] | None = None,
    level: str = "O2",
    backend: str = "numpy",
    *,
    precision: str | None = None,
    memory_budget: int | str | None = None,
) -> MemoryReport:
    """The memory that a run of the model needs, as planned, with its lower bound and its peak.

    Arguments:
        sizes: values of the symbolic sizes, by name.
        level, precision, memory_budget: as in `gf.Session`.
        backend: where it would run. One that chooses for itself where values lie (jax) compiles the model,
            so that its own numbers stand beside.

    Returns:
        a MemoryReport: print it, draw it by `.picture(path)`, ask it how to `.fit("64MB")`; `.plan` has the
        offset of each value.

    Raises:
        SessionError: if a symbolic size has no value.
        MemoryPlanError: for a budget below the least that is found.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 4))
    >>> model = gf.Model(inputs=[x], outputs={"y": gf.exp(gf.exp(x))})
    >>> report = gf.plan_memory(model, {"batch": 2})
    >>> report.lower_bound_bytes <= report.arena_bytes
    True
    """
    fetches, feeds = list(_require_model(model).outputs.values()), list(model.inputs.values())
    with Session(
        model.graph, backend, level=level, precision=precision, memory_budget=memory_budget
    ) as session:
        compiled = session.backend.name != "numpy"
        return session.memory(fetches, sizes, feeds=feeds, training=False, compiled=compiled)
