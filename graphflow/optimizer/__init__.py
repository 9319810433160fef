"""The graph optimizer: rewriting through one door, with a journal of every edit."""
