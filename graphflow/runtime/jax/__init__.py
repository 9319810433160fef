"""The JAX backend; the only place that imports jax."""

from graphflow.runtime.jax import kept_memory

kept_memory.keep()  # here, as it has to be before JAX starts its threads
