"""From an optimised program to a .bmodel: layers, groups of them, steps, and commands of both engines."""
