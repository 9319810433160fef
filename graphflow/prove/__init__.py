"""Proving what the optimizer did: the same values at every level, or the one edit that changed them."""

from graphflow.optimizer.difference import Difference, diff
from graphflow.prove.bisect import Bisection, bisect
from graphflow.prove.check import Check, check
from graphflow.prove.inputs import generate
from graphflow.prove.reproduction import load_rules

__all__ = ["Bisection", "Check", "Difference", "bisect", "check", "diff", "generate", "load_rules"]
