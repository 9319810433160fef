"""Tests of the rewrite rules, family by family."""
