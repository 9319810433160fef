"""Rules and passes from a user's Python file, which is run: its lists RULES and PASSES, or all it defines."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from graphflow.errors import AttributeValueError, FileFormatError, GraphFlowError
from graphflow.files import checked_path
from graphflow.optimizer.pass_manager import Pass
from graphflow.optimizer.rule import Rule, checked_rules

PREFIX = "graphflow_rules_"
"""What the names of modules begin with that were loaded from a path."""


def load_rules(path: str | Path) -> list[Rule]:
    """The rules in a Python file, which is run: those in its list RULES, or all it defines.

    Raises:
        FileFormatError: if the file cannot be run, or has no rules.
    """
    found = _listed(_module(path), "RULES", lambda value: isinstance(value, Rule))
    if not found:
        raise FileFormatError(f"{str(path)!r} has no rules", hint="define some with @rule")
    return list(checked_rules(found))


def load_passes(path: str | Path) -> list[type[Pass]]:
    """The passes in a Python file, which is run: those in its list PASSES, or all it defines.

    Raises:
        FileFormatError: if the file cannot be run, or has no passes.
    """
    module = _module(path)

    def is_own(value: Any) -> bool:
        return inspect.isclass(value) and issubclass(value, Pass) and value.__module__ == module.__name__

    found = _listed(module, "PASSES", is_own)
    if not found:
        raise FileFormatError(
            f"{str(path)!r} has no passes", hint="derive some from optimizer.pass_manager.Pass"
        )
    return list(checked_passes(found))


def checked_passes(passes: Sequence[type[Pass]]) -> tuple[type[Pass], ...]:
    """Passes of a user, once it is known that they are classes with names.

    Raises:
        AttributeValueError: for anything else, or two of one name.
    """
    listed = tuple(passes) if isinstance(passes, (list, tuple)) else (passes,)
    for kind in listed:
        if not (inspect.isclass(kind) and issubclass(kind, Pass)) or inspect.isabstract(kind):
            raise AttributeValueError(
                f"{kind!r:.80} is no pass", hint="pass classes derived from Pass that have a method run"
            )
        if not isinstance(getattr(kind, "name", None), str):
            raise AttributeValueError(
                f"the pass {kind.__name__} has no name", hint='give it one: name: ClassVar[str] = "my-pass"'
            )
    names = [kind.name for kind in listed]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise AttributeValueError(f"the pass {twice!r} is listed twice", hint="give each pass its own name")
    return listed


def _listed(module: ModuleType, name: str, is_one: Callable[[Any], bool]) -> list[Any]:
    listed: Any = getattr(module, name, None)
    return [value for value in vars(module).values() if is_one(value)] if listed is None else list(listed)


def _module(path: str | Path) -> ModuleType:
    """The module of a file, run once for each of its versions."""
    place = checked_path(path).resolve()
    name = PREFIX + re.sub(r"\W", "_", str(place))
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None or not place.is_file():
        raise FileFormatError(
            f"{str(path)!r} is no Python file", hint="give a file of rules or passes, such as rules.py"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except GraphFlowError:
        raise
    except Exception as error:  # whatever the user's file raises
        raise FileFormatError(
            f"{str(path)!r} fails: {type(error).__name__}: {error}", hint="run it by itself first"
        ) from error
    return module
