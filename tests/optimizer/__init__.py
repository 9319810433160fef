"""Tests of the graph optimizer."""
