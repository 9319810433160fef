"""Models for targets that run files of their own: `gf.compile` and the report before it."""

from graphflow.deploy.compile import Compiled, compile
from graphflow.deploy.preflight import Preflight, preflight

__all__ = ["Compiled", "Preflight", "compile", "preflight"]
