"""Batching: from the graph of one example the graph of many, operator by operator."""
