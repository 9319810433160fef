"""A functional simulator of the chip in numpy: it decodes words, runs them and refuses what is wrong."""

from graphflow.runtime.bm1684.simulator.fault import ChipFault
from graphflow.runtime.bm1684.simulator.machine import Simulator
from graphflow.runtime.bm1684.simulator.memory import Memory
from graphflow.runtime.bm1684.simulator.order import ORDERS
from graphflow.runtime.bm1684.simulator.program import simulate

__all__ = ["ORDERS", "ChipFault", "Memory", "Simulator", "simulate"]
