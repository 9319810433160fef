"""The board: what runs have logged, shown in a browser."""
