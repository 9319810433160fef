"""Writing what a bisection found as a ready test: a pytest file with the graph as text, and its arrays."""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphflow.errors import FileFormatError
from graphflow.files import atomic_write, checked_path, unwritable
from graphflow.ir.dtypes import as_dtype
from graphflow.optimizer.loading import PREFIX
from graphflow.optimizer.rule import Rule

if TYPE_CHECKING:
    from graphflow.prove.minimal import Minimal

_ARRAY = "array "
_OWN_RULES = """\
RULES = []
assert RULES, "import your rules {names} here, and list them in RULES"
"""
_TEST = '''"""{title}

Written by `{author}`. The graph is the smallest found that shows it, with the values it had.
"""

from pathlib import Path

import numpy as np

import graphflow as gf
{imports}
TEXT = r"""
{text}"""


def test_{name}() -> None:
    with np.load(Path(__file__).with_name("{npz}")) as file:
        inputs = {{name: file[name] for name in file.files if not name.startswith("{array}")}}
        arrays = {{name.removeprefix("{array}"): file[name] for name in file.files}}
    graph = gf.parse_graph(TEXT, arrays)
    found = gf.prove.check(
        graph, inputs, levels=[{level!r}], backends=[{backend!r}], rules=RULES, exact={exact}
    )
    assert found.passed, str(found)
'''


@dataclass(frozen=True)
class Settings:
    """What was run: a level, a backend, further rules, whether no bit may differ, and the edit's rule."""

    level: str
    backend: str
    rules: tuple[Rule, ...]
    exact: bool
    rule: str


def write(
    folder: str | Path,
    minimal: Minimal,
    settings: Settings,
    origin: str,
    title: str = "",
    author: str = "graphflow bisect",
) -> list[Path]:
    """Write the test and its arrays into a folder, which is made if need be; their paths.

    Arguments:
        title: the first line of the test; by default that the rule changes the answer.
        author: the command that writes it.

    Raises:
        FileFormatError: if they cannot be written.
    """
    place = checked_path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(place, error) from error
    name = re.sub(r"\W", "_", settings.rule)
    paths = [place / f"test_{name}.py", place / f"{name}.npz"]
    save_npz(paths[1], {**minimal.inputs, **{_ARRAY + key: value for key, value in minimal.arrays.items()}})
    if '"""' in minimal.text or minimal.text.rstrip("\n").endswith("\\"):
        raise FileFormatError("the graph has names that no Python text can hold", hint="rename its nodes")
    at = f", seen at {origin}" if origin else ""
    said = f"The rule {settings.rule!r} changes the answer at {settings.level} on {settings.backend}{at}."
    text = _TEST.format(
        title=title or said, author=author,
        imports=_imports(settings.rules), text=minimal.text, name=name, npz=paths[1].name, array=_ARRAY,
        level=settings.level, backend=settings.backend, exact=settings.exact,
    )  # fmt: skip
    with atomic_write(paths[0]) as file:
        file.write(text.encode())
    return paths


def _imports(rules: Sequence[Rule]) -> str:
    """Lines that give RULES."""
    if not rules:
        return "\nRULES = []\n"
    modules: dict[str, list[str]] = {}
    for rule in rules:
        module = rule.function.__module__
        if module.startswith(PREFIX):
            path = sys.modules[module].__file__
            return f"\nRULES = gf.prove.load_rules({str(path)!r})\n"
        if module == "__main__" or getattr(sys.modules.get(module), rule.name, None) is not rule:
            return "\n" + _OWN_RULES.format(names=", ".join(one.name for one in rules))
        modules.setdefault(module, []).append(rule.name)
    lines = [f"from {module} import {', '.join(names)}" for module, names in sorted(modules.items())]
    return "\n".join([*lines, "", f"RULES = [{', '.join(rule.name for rule in rules)}]", ""])


def save_npz(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a .npz file; those of dtypes that NumPy's files lack, as float32 or text."""
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(_portable(array)), allow_pickle=False)


def _portable(array: np.ndarray) -> np.ndarray:
    dtype = as_dtype(array.dtype)
    if dtype.kind == "string":
        return array.astype(np.str_)
    return array.astype(np.float32) if dtype.is_narrow or dtype.name == "bfloat16" else array
