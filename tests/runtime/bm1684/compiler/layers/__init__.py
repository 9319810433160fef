"""Tests of the families of layers, each run alone in the simulator."""
