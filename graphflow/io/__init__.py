"""Files: saved models and the parts they are made of.

What is read becomes a Model, a class of a floor above this one. So that nothing here has to import
it, the package says where it is found (`use_models`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.errors import FileFormatError

_finders: list[Callable[[], Any]] = []


def use_models(find: Callable[[], Any]) -> None:
    """Say how to get the class that readers make and writers take; it is called when one is needed."""
    _finders[:] = [find]


def model_class() -> Any:
    """The Model class."""
    if not _finders:
        raise FileFormatError("the Model class is not known", hint="import graphflow.model before reading models")
    return _finders[0]()
