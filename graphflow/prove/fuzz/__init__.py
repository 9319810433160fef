"""Fuzzing: random well-typed graphs, run at every level on every backend, and what fails made small."""

from graphflow.prove.fuzz.hunt import Finding, Hunt, hunt
from graphflow.prove.fuzz.programs import Generated, generated

__all__ = ["Finding", "Generated", "Hunt", "generated", "hunt"]
