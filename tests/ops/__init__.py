"""Tests of what each operator means."""
