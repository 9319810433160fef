"""Tests of graphflow/runtime."""
