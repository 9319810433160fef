"""The JAX backend; the only place that imports jax."""
