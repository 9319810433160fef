"""Tests of graphflow/viz."""
