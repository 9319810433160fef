"""The numpy backend: operators run by their references, the meaning that other backends must match."""
