"""Symbolic differentiation: gradients are ordinary nodes of the same graph."""
