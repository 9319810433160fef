"""The memory planner: when each value lives, where it is placed, and what that says about a program."""

from graphflow.optimizer.memory.allocate import Allocation, Arena, Buffer, allocate
from graphflow.optimizer.memory.plan import MemoryPlan, plan_program
from graphflow.optimizer.memory.report import MemoryReport, memory_report

__all__ = [
    "Allocation",
    "Arena",
    "Buffer",
    "MemoryPlan",
    "MemoryReport",
    "allocate",
    "memory_report",
    "plan_program",
]
