"""Tests of the cycle model and its timeline."""
