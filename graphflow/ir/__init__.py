"""The intermediate representation: types, nodes, graphs, and how they are built, printed and checked."""
