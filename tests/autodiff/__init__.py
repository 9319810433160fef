"""Tests of graphflow/autodiff."""
