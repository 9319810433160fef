"""A few hundred damaged models and checkpoints; `make fuzz-saved-models` loads 20,000 of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.io.fuzz import fuzz


@pytest.mark.parametrize("kind", ["folder", "file", "checkpoint"])
def test_damage_is_refused_and_never_a_fault(kind: str, tmp_path: Path) -> None:
    """Some changes are harmless, such as white space; most are not."""
    counts = fuzz(kind, 200, seed=1, folder=tmp_path)
    assert counts["FileFormatError"] > 100 and counts["loaded"] > 0
