"""The memory planner: when each value lives, where it is placed, and what that says about a program."""

from graphflow.optimizer.memory.allocate import allocate
from graphflow.optimizer.memory.buffers import Allocation, Arena, Banks, Buffer
from graphflow.optimizer.memory.certificate import Certificate, certify
from graphflow.optimizer.memory.order import Ordering, choose_order
from graphflow.optimizer.memory.plan import MemoryPlan, plan_program
from graphflow.optimizer.memory.report import MemoryReport, memory_report
from graphflow.optimizer.memory.table import read_buffers, write_offsets

__all__ = [
    "Allocation",
    "Arena",
    "Banks",
    "Buffer",
    "Certificate",
    "MemoryPlan",
    "MemoryReport",
    "Ordering",
    "allocate",
    "certify",
    "choose_order",
    "memory_report",
    "plan_program",
    "read_buffers",
    "write_offsets",
]
