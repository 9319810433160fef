"""Which rules and passes run: included and excluded by name or tag, checked before anything does.

A rule is meant by its name, or by a tag, which means all rules that carry it. What is included runs
whatever its safety class, if it is named; by a tag everything but "unsafe" does. What is excluded does
not run at all.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.optimizer.pass_manager import Pass
from graphflow.optimizer.rule import Rule, select


def split_names(text: str) -> list[str]:
    """The names in an option such as "a+b".

    >>> split_names("stabilize+clip")
    ['stabilize', 'clip']
    """
    return [name for name in text.split("+") if name]


def chosen_rules(rules: Sequence[Rule], safety: str, tags: str, include: str) -> list[Rule]:
    """The rules of a pass, in their order: up to a class, with one of the tags, or included."""
    named = set(split_names(include))
    kept = set(map(id, select(rules, safety, [*split_names(tags), *split_names(include)])))
    return [rule for rule in rules if id(rule) in kept or rule.name in named]


def check_options(steps: Iterable[Pass], rules: Sequence[Rule]) -> None:
    """Refuse names in the options of passes that no rule and no tag has; under `tags`, that no tag has.

    Raises:
        AttributeValueError: naming the nearest one.
    """
    tags = {tag for rule in rules for tag in rule.tags}
    known = {*[rule.name for rule in rules], *tags}
    for step in steps:
        for option, names, what in (
            ("include", known, "rule or tag"),
            ("exclude", known, "rule or tag"),
            ("tags", tags, "tag"),
        ):
            for name in split_names(getattr(step, option, "")):
                if name not in names:
                    raise AttributeValueError(
                        f"option {option!r} of pass {step.name!r}: there is no {what} {name!r}",
                        hint=_nearest(name, names),
                    )


def customised(
    steps: Sequence[Pass],
    include: Sequence[str],
    exclude: Sequence[str],
    rules: Sequence[Rule],
    passes: dict[str, type[Pass]],
) -> list[Pass]:
    """A pipeline with passes and rules added or left out.

    Arguments:
        steps: the pipeline as it is.
        include: rules and tags for the passes that choose rules; passes to run at the end.
        exclude: rules, tags and passes to leave out.
        rules, passes: all that can be named.

    Raises:
        AttributeValueError: for a name that none of them has, or a rule where no pass takes rules.
    """
    names = {*[rule.name for rule in rules], *[tag for rule in rules for tag in rule.tags]}
    for name in (*include, *exclude):
        if name not in passes and name not in names:
            raise AttributeValueError(
                f"there is no rule, tag or pass {name!r:.80}", hint=_nearest(name, {*passes, *names})
            )
    made = [step for step in steps if step.name not in exclude]
    dropped = [name for name in exclude if name not in passes]
    made = [_with(step, "exclude", dropped) for step in made]
    wanted = [name for name in include if name not in passes]
    takers = [step for step in made if _has(step, "include")]
    if wanted and not takers:
        raise AttributeValueError(
            f"no pass of the pipeline takes the rule {wanted[0]!r}", hint="add canonicalize to the pipeline"
        )
    made = [_with(step, "include", wanted) if _has(step, "include") else step for step in made]
    present = {step.name for step in made}
    return made + [passes[name]() for name in include if name in passes and name not in present]


def _has(step: Pass, option: str) -> bool:
    return any(one.name == option for one in fields(step))


def _with(step: Pass, option: str, names: Sequence[str]) -> Pass:
    """The pass with further names in one of its options."""
    if not names:
        return step
    listed = dict.fromkeys([*split_names(getattr(step, option)), *names])
    change: Callable[..., Pass] = replace
    return change(step, **{option: "+".join(listed)})


def checked_names(given: Sequence[str], what: str) -> list[str]:
    """A list of names, once it is known to be one; a text with commas or plus signs stands for several.

    Raises:
        AttributeValueError: for anything else.

    >>> checked_names("log_of_softmax,clip", "exclude")
    ['log_of_softmax', 'clip']
    """
    if isinstance(given, str):
        return [name.strip() for name in given.replace("+", ",").split(",") if name.strip()]
    listed: list[Any] = list(given) if isinstance(given, (list, tuple)) else [given]
    for name in listed:
        if not isinstance(name, str):
            raise AttributeValueError(
                f"{what} has {name!r:.80}", hint=f"pass names of rules, tags or passes: {what}=['clip']"
            )
    return listed


def _nearest(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(name), sorted(names), 3)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return "docs/rules.md lists the rules with their tags, docs/optimizer.md the passes"
