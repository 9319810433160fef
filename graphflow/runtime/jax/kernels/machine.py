"""What the processor at hand offers to kernels: the width of its vectors, and its registers."""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import binding


@dataclass(frozen=True)
class Machine:
    """A kind of processor.

    Attributes:
        name: as LLVM has it.
        features: that LLVM may use, in its own writing.
        lanes: floats in a vector.
        registers: that hold vectors.
    """

    name: str
    features: str
    lanes: int
    registers: int

    @property
    def most_vectors(self) -> int:
        """The vectors of the widest tile."""
        return 4 if self.registers >= 32 else 2

    def tiles(self, is_depthwise: bool) -> dict[int, tuple[int, ...]]:
        """For each number of vectors the numbers of rows that tiles have, the largest first, down to 1.

        A tile needs a register for each of its sums, one for each vector of weights and one for the input;
        with more than eight rows their addresses do not fit into registers. A depthwise one reads a vector
        for each sum, so that more rows than four save nothing.

        >>> Machine("any", "", 16, 32).tiles(False)[4], Machine("any", "", 8, 16).tiles(True)[2]
        ((6, 4, 2, 1), (4, 2, 1))
        """
        found = {}
        for vectors in range(1, self.most_vectors + 1):
            most = min(4 if is_depthwise else 8, (self.registers - 1 - vectors) // vectors)
            found[vectors] = (most, *[rows for rows in (4, 2, 1) if rows < most])
        return found


def host() -> Machine:
    """The processor that this runs on."""
    features = binding.get_host_cpu_features()
    name = binding.get_host_cpu_name()
    if features.get("avx512f"):
        # Where LLVM takes half the width for faster, it splits what kernels ask for.
        features["prefer-256-bit"] = False
        return Machine(name, features.flatten(), 16, 32)
    if features.get("avx2") and features.get("fma"):
        return Machine(name, features.flatten(), 8, 16)
    return Machine(name, features.flatten(), 4, 32 if features.get("neon") else 16)
