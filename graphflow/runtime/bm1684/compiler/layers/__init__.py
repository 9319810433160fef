"""The layers that the code generator knows, one family a file."""
