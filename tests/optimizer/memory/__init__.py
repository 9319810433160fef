"""Tests of graphflow/optimizer/memory."""
