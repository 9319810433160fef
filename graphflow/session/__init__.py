"""Running graphs: what to fetch, what is fed, the state in between, and what is compiled for it."""
