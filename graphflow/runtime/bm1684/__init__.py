"""The BM1684: its commands, its files and a simulator of the chip. There is no code generator yet."""
