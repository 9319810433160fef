"""Passes: the steps of a pipeline, one a file."""
