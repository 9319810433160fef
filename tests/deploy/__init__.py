"""Tests of the files for chips."""
