"""Tests of graphflow/train."""
