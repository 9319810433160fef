"""Every tutorial runs from top to bottom, as a user would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TUTORIALS = sorted((ROOT / "tutorials").glob("[0-9]*.py"))


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_runs(tutorial: Path, tmp_path: Path) -> None:
    """It exits with 0 and prints something, in a process and a folder of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::UserWarning:graphflow"}
    done = subprocess.run(
        [sys.executable, str(tutorial)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


def test_tutorials_are_numbered_without_gaps() -> None:
    """01, 02, 03 ... so that the reading order is clear."""
    numbers = [int(path.stem[:2]) for path in TUTORIALS]
    assert numbers == list(range(1, len(numbers) + 1))
