"""Machine code of our own for convolutions and products on the CPU, which XLA calls.

From the bottom up: `emit` writes LLVM's language, `tile` the innermost kernels, `product` the loops around
them, `parallel` what XLA calls and how its threads share the work; `places` and `plan` say in integers where
windows lie and how work is cut; `machine` knows the processor, and `library` compiles and registers.
"""
