"""Tests of graphflow/layers."""
