"""Tests of graphflow/nn."""
