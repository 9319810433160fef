"""Tests of the code generator for the BM1684."""
