"""Models: a graph with named inputs and outputs and its weights, and what can be done with one."""

from graphflow.model.model import Model, Signature
from graphflow.model.tools import optimize, plan_memory

__all__ = ["Model", "Signature", "optimize", "plan_memory"]
