"""Targets: what runs a program."""
